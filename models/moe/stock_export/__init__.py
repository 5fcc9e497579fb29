"""Write a converted language model as a checkpoint of a stock architecture of transformers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import torch
from torch import nn

from ...errors import ModelError
from ...hub.atomic_folder import written
from .granite import GRANITE_MOE
from .mixtral import MIXTRAL
from .mixture import Mixture
from .qwen import QWEN2_MOE, QWEN3_MOE, QWEN3_NEXT
from .sigmoid import DOTS1, GLM4_MOE
from .source import Source
from .stock import Stock

STOCK = (MIXTRAL, QWEN3_MOE, GRANITE_MOE, QWEN2_MOE, QWEN3_NEXT, GLM4_MOE, DOTS1)
"""Architectures in order of preference: the first one that fits is written. Granite comes before Qwen2, whose
renormalised weights llama.cpp does not compute."""


def export(model: nn.Module, path: str | Path, *, tokenizer: Any = None) -> str:
    """Write a converted Llama, Mistral, Qwen2 or Qwen3 so that `AutoModelForCausalLM.from_pretrained(path)` loads it.

    The checkpoint is of the first architecture in `STOCK` that computes the same function; returns the name of its
    class. The factor s of the routed output (and the gain of an alignment) is folded into the down projections, and
    experts of fewer neurons than the largest end in zero neurons, up to a multiple of 8 neurons. The logits are
    those of the model up to rounding, but for tokens at a tie of two experts, which may go to the other one. Ties are
    common in bfloat16: most stock routers compute logits in the model's dtype, ours in float32. Folding rounds once
    more there, unless s is a power of 2.

    What happens in training only is not written: noise of the router, a capacity, balance losses, a straight-through
    gradient, DenseMixer. The bias of `balance="bias"` is, with sigmoid scores: no architecture has one on others.
    `tokenizer` is saved along with the model if given.

    Raises `ModelError`, and writes nothing, when the folder is not empty or when no stock architecture has some part of
    the model; the message names the part. `save_pretrained` then writes our own format.
    """
    source = Source.of(model)
    stock = _choose(source)
    with written(path) as folder:
        filled = _fill(stock, source)
        filled.generation_config = copy.deepcopy(source.model.generation_config)
        filled.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return type(filled).__name__


def _choose(source: Source) -> Stock:
    foreign = source.foreign()
    if foreign:
        raise ModelError(f"no stock architecture has {' or '.join(foreign)}: use save_pretrained(model, path)")
    features = source.features
    for stock in STOCK:
        if stock.fits(features):
            return stock
    raise ModelError(
        f"no stock architecture has {', '.join(sorted(features))} at once: use save_pretrained(model, path)"
    )


def _fill(stock: Stock, source: Source) -> Any:
    """The stock model, sharing the memory of every tensor that is the same in both."""
    import transformers

    widths = stock.widths(source)
    config = getattr(transformers, f"{stock.name}Config")(**source.config() | stock.config(source, widths))
    with torch.device("meta"):
        filled = getattr(transformers, f"{stock.name}ForCausalLM")(config)
    state = {name: value.detach() for name, value in stock.rest(source, source.kept()).items()}
    for block, layer in zip(source.anatomy.blocks, source.layers, strict=True):
        if layer is not None:
            mixture = Mixture.of(layer, hidden=widths[0], shared=widths[1])
            state |= {f"{block.site.path}.{name}": value for name, value in stock.mixture(mixture).items()}
    odd = sorted(state.keys() ^ filled.state_dict().keys())
    if odd:
        raise ModelError(f"{', '.join(odd[:3])}: merge or remove what was added to the model, or use save_pretrained")
    filled.load_state_dict(state, assign=True)
    filled.tie_weights()
    return filled
