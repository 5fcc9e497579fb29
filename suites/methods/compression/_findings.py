"""What a method that compresses a model notes for the record (`reports/compression/notes.py`)."""

from collections.abc import Iterable

from torch import nn

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.reports.compression.notes import KEY

from ...contracts.context import Context

Blocks = dict[int, dict[str, list[float]]]
"""Findings by the number of the block and by name."""


class Sizes:
    """Bytes and active parameters of a model, before something is taken away and afterwards."""

    def __init__(self, model: nn.Module) -> None:
        self.model = model
        self.before = _sizes(model)

    def note(self, context: Context, blocks: Blocks) -> None:
        """Note both, as they were and as they are now, with what was found block by block."""
        found = dict(zip(("bytes", "active"), zip(self.before, _sizes(self.model), strict=True), strict=True))
        context.note(KEY, {**found, "blocks": blocks})


def add(blocks: Blocks, block: int, **findings: Iterable[float]) -> None:
    """Append values to the lists of a block."""
    for name, values in findings.items():
        for value in values:
            blocks.setdefault(block, {}).setdefault(name, []).append(value)


def _sizes(model: nn.Module) -> tuple[int, int]:
    return stored_bytes(model), count_parameters(model).active
