"""What a method and a task may know of each other and of a backbone before anything is loaded."""

from dataclasses import dataclass
from typing import ClassVar


@dataclass(frozen=True)
class Backbone:
    """What is known of a backbone before it is loaded. `name` is `name[:argument]`.

    `family` is the literal `FAMILY` of the backbone's file: transformer, encoder (a transformer that gives features of
    texts), molecule encoder (Graph2Seq), molecule generator (GraphsGPT), cnn, graph or fingerprint, or empty where it
    depends on the argument (`timm:...`).
    """

    name: str
    family: str = ""


class TaskTraits:
    """Constants of a task, which a method may look at to see whether it can run there."""

    version: ClassVar[str]
    group: str = ""
    """The group whose mean the suite reports, for instance VTAB's natural, specialized or structured."""
    sources: tuple[str, ...] = ()
    """Names of the data sources, as in `data/manifest/`."""
    trains: ClassVar[bool] = False
    """Whether `Method.fit` gets training data here."""
    new_head: ClassVar[bool] = False
    """Whether the backbone gets a head for this task, which is random until it is trained."""
    draws: ClassVar[bool] = False
    """Whether the evaluation draws random numbers, so that seeds differ whatever the method is."""
