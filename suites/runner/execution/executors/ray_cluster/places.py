"""Nodes and attempts as the run sees them."""

from dataclasses import dataclass, field

from ....identity.cell import Cell
from .messages import Kind, Node


@dataclass
class Place:
    """A node as the run sees it."""

    node: Node
    joined: bool = False
    barred: str = ""
    agreed: set[str] = field(default_factory=set)
    lacking: dict[str, str] = field(default_factory=dict)

    def fits(self, kind: Kind) -> bool:
        """Whether it can run cells of the kind now."""
        return self.joined and kind.digest in self.agreed and (kind.cell.device == "cpu" or self.node.gpus > 0)

    def why_not(self, kind: Kind) -> str | None:
        """Why it will never run cells of the kind; None if it may."""
        if kind.cell.device != "cpu" and self.node.gpus == 0:
            return f"node {self.node.name}: no GPU"
        reason = self.lacking.get(kind.digest)
        return None if reason is None else f"node {self.node.name}: {reason}"


@dataclass(frozen=True)
class Attempt:
    """A cell that a node was told to run."""

    cell: Cell
    node: str
