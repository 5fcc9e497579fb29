"""How often a transform runs a model over its calibration batches, whichever parts of it and copies it runs."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from sparsebench.models.anatomy import describe


@contextmanager
def counted_passes(model: nn.Module, batches: int) -> Iterator[Callable[[], float]]:
    """Count the calls of all blocks while this is open, those of copies too, which take the hook along.

    Args:
        model: the model.
        batches: how many there are.

    Yields:
        What gives the passes: calls of blocks over what one pass of the model over all batches takes.
    """
    calls = [0]
    blocks = [block.site.get() for block in describe(model).blocks]

    def count(*_: Any) -> None:
        calls[0] += 1

    for block in blocks:
        block.register_forward_hook(count)
    try:
        yield lambda: calls[0] / (len(blocks) * max(1, batches))
    finally:
        # Not by their handles: a copy of a block may stand in the model by now.
        for module in (*model.modules(), *(part for block in blocks for part in block.modules())):
            for key in [key for key, hook in module._forward_hooks.items() if hook is count]:
                del module._forward_hooks[key]
