"""A block without its FFN or its attention, for as long as one looks at it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from ...anatomy import Block, Site


@contextmanager
def without(block: Block, *, mlp: bool = False, attention: bool = False) -> Iterator[None]:
    """While it is open, the block computes as after `remove_mlp` and `remove_attention`; then all is as it was.

    Raises `ModelError`, and changes nothing, where that part cannot be taken out: this is also how to ask.
    """
    held = [(site, site.get()) for site in _places(block, mlp, attention)]
    # The view of the caller goes on naming what comes back.
    view = replace(block)
    try:
        if mlp:
            view.remove_mlp()
        if attention:
            view.remove_attention()
        yield
    finally:
        for site, module in held:
            site.replace(module)


def _places(block: Block, mlp: bool, attention: bool) -> list[Site]:
    """Every place in which a removal may put something else."""
    places = list(block.shared_norms)
    if mlp and block.mlp is not None:
        places += [*block.mlp.parts, *(block.mlp_norms or ())]
        experts = block.mlp.experts
        if experts is not None and experts.shared is not None:
            places.append(experts.shared)
    if attention and block.attention is not None:
        places += [block.attention.site, *(block.attention_norms or ())]
    return places
