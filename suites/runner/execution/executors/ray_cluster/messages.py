"""What the executor, the gateway to Ray and the agents on the nodes say to each other.

An attempt has a number of its own, so that what a node says late of an attempt that was given up is dropped.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from ....identity.cell import Cell
from ...execute import Result


@dataclass(frozen=True)
class Kind:
    """Cells that run the same code on the same data: one of them, and the digest of its identity lines."""

    digest: str
    cell: Cell


@dataclass(frozen=True)
class Expect:
    """To an agent: cells of this kind will come; see that code and data are the same here, and fetch the data."""

    kind: Kind


@dataclass(frozen=True)
class Start:
    """To an agent: run the cell."""

    attempt: int
    cell: Cell


@dataclass(frozen=True)
class Stop:
    """To an agent: end the attempt; nothing more is to be said of it."""

    attempt: int


Command = Expect | Start | Stop


@dataclass(frozen=True)
class Agrees:
    """Of an agent: this kind of cells can run here."""

    digest: str


@dataclass(frozen=True)
class Differs:
    """Of an agent: the lines of this kind are others here, or a method, task or backbone is missing."""

    digest: str
    lines: Sequence[str]
    missing: str = ""


@dataclass(frozen=True)
class Lacks:
    """Of an agent: the data of this kind cannot be had here."""

    digest: str
    reason: str


@dataclass(frozen=True)
class Began:
    """Of an agent: the attempt runs."""

    attempt: int
    place: str


@dataclass(frozen=True)
class Again:
    """Of an agent: the attempt lost its worker process, and goes on in another one."""

    attempt: int
    reason: str


@dataclass(frozen=True)
class Done:
    """Of an agent: the attempt came to its end."""

    attempt: int
    result: Result


@dataclass(frozen=True)
class Broken:
    """Of an agent: no cell can run here: the disk is full, workers do not start."""

    reason: str


News = Agrees | Differs | Lacks | Began | Again | Done | Broken


@dataclass(frozen=True)
class Node:
    """A machine of the cluster and the cells that it carries at once; `gpus` of them may use a GPU."""

    id: str
    name: str
    slots: int
    gpus: int


@dataclass(frozen=True)
class Seen:
    """Of the gateway: the nodes that take cells and that Ray lists now, or that have an agent."""

    nodes: Sequence[Node]


@dataclass(frozen=True)
class Joined:
    """Of the gateway: the agent of a node runs."""

    node: str


@dataclass(frozen=True)
class Told:
    """Of the gateway: what the agent of a node said."""

    node: str
    news: Sequence[News]


@dataclass(frozen=True)
class Gone:
    """Of the gateway: the agent of a node died or does not answer."""

    node: str
    reason: str


Report = Seen | Joined | Told | Gone


@dataclass(frozen=True)
class Tell:
    """To the gateway: commands for the agent of a node."""

    node: str
    commands: Sequence[Command]


@dataclass(frozen=True)
class Dismiss:
    """To the gateway: end the agent of a node, and start no other one there for so many seconds."""

    node: str
    seconds: float


@dataclass(frozen=True)
class Close:
    """To the gateway: end all agents and leave the cluster."""


Order = Tell | Dismiss | Close
