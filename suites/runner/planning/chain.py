"""The methods of a row, loaded, with what the row says of training put into their configs."""

from ...contracts.method import Method
from ..discovery.loading import config_fields, load_method
from ..discovery.registry import find
from ..errors import UsageError
from .rows import Row

TRAIN = "train"
"""The option of methods that says what trains (`suites/training/trainable.py`)."""


def load_chain(row: Row) -> list[Method]:
    """The methods of a row, in their order.

    What the row says under `train` goes to the last method that has this option; those before it train nothing. Raises
    `UsageError` for an unknown method or a wrong config, where no method has the option, or one says it itself.
    """
    entries = [find("method", link.method) for link in row.chain]
    configs = [dict(link.config) for link in row.chain]
    if row.train:
        able = [number for number, entry in enumerate(entries) if TRAIN in config_fields(entry)]
        if not able:
            raise UsageError(f"row {row.label!r} says train: {row.train}, but no method of it has such an option")
        for number in able:
            if TRAIN in configs[number]:
                raise UsageError(f"row {row.label!r} says train twice: {entries[number].name} has one of its own")
            configs[number][TRAIN] = "none"
        configs[able[-1]][TRAIN] = row.train
    return [load_method(entry, config) for entry, config in zip(entries, configs, strict=True)]
