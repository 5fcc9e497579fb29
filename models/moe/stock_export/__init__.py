"""Write a converted language model as a checkpoint of a stock architecture of transformers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...hub.atomic_folder import written
from ...hub.comparison import check_outputs
from .granite import GRANITE_MOE
from .mixtral import MIXTRAL
from .mixture import Mixture
from .qwen import QWEN2_MOE, QWEN3_MOE, QWEN3_NEXT
from .sigmoid import DOTS1, GLM4_MOE
from .source import Source
from .stock import Engine, Stock

STOCK = (MIXTRAL, QWEN3_MOE, GRANITE_MOE, QWEN2_MOE, QWEN3_NEXT, GLM4_MOE, DOTS1)
"""Architectures in order of preference: the first one that fits is written. Granite comes before Qwen2, whose
renormalised weights llama.cpp does not compute."""
Weights = Literal["as they are", "dense"]


def export(
    model: nn.Module,
    path: str | Path,
    *,
    engine: Engine = "transformers",
    weights: Weights = "as they are",
    tokenizer: Any = None,
) -> str:
    """Write a converted Llama, Mistral, Qwen2 or Qwen3 so that `AutoModelForCausalLM.from_pretrained(path)` loads it.

    The checkpoint is of the first architecture in `STOCK` that computes the same function in the engine. The factor s
    of the routed output (and the gain of an alignment) is folded into the down projections, and experts of fewer
    neurons than the largest end in zero neurons, up to a multiple of 8 neurons. The logits are those of the model up to
    rounding, but for tokens at a tie of two experts, which may go to the other one. Ties are common in bfloat16: most
    stock routers compute logits in the model's dtype, ours in float32. Folding rounds once more there, unless s is a
    power of 2.

    What happens in training only is not written: noise of the router, a capacity, balance losses, a straight-through
    gradient, DenseMixer. The bias of `balance="bias"` is, with sigmoid scores: no architecture has one on others.

    Args:
        model: what `convert` made.
        path: a folder that is not there, or is empty. `sparsebench.models.save` writes our own format.
        engine: what is to run it; "llama.cpp" stands for its converter to GGUF and what that gives, and transformers
            opens such a folder as well.
        weights: "dense" writes the dense weights that quantised ones stand for. To keep them packed, export first, then
            load, quantise and `export_compressed_tensors`.
        tokenizer: is saved along with the model if given.

    Returns:
        The name of the architecture's class.

    Raises:
        ModelError: the folder is not empty, weights are quantised, no stock architecture that the engine runs has some
            part of the model (the message names the part), or the outputs on a few rows are not those of the model.
            Nothing is written.
    """
    check_choice("engine", engine, get_args(Engine))
    check_choice("weights", weights, get_args(Weights))
    source = Source.of(model)
    packed = [name for name, value in model.named_parameters() if _is_packed(value)]
    if packed and weights != "dense":
        raise _quantised(packed)
    stock = _choose(source, engine)
    filled = _fill(stock, source, engine)
    if not packed:  # products with packed weights round their inputs, too
        check_outputs(model, filled, f"the {type(filled).__name__} would not compute what the model does")
    with written(path) as folder:
        filled.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return type(filled).__name__


def _quantised(names: list[str]) -> ModelError:
    return ModelError(
        f"{len(names)} weights are quantised, as {names[0]}: weights='dense' writes the dense ones that they stand "
        "for; for a packed checkpoint export before you quantise, load it, quantise that, and write it by "
        "compression.quantisation.export_compressed_tensors"
    )


def _is_packed(value: Tensor) -> bool:
    """Whether a weight of `compression`, which this room does not know, stands for a dense one."""
    return hasattr(value, "dense")


def _choose(source: Source, engine: Engine) -> Stock:
    foreign = source.foreign()
    if foreign:
        raise ModelError(f"no stock architecture has {' or '.join(foreign)}: use sparsebench.models.save(model, path)")
    features = source.features
    for stock in STOCK:
        if stock.fits(features, engine):
            return stock
    for stock in STOCK:
        if stock.fits(features):
            raise ModelError(
                f"{engine} {stock.hindrance(features, engine)}, and for transformers the model would be one: use "
                "engine='transformers', or sparsebench.models.save(model, path)"
            )
    raise ModelError(
        f"no stock architecture has {', '.join(sorted(features))} at once: use sparsebench.models.save(model, path)"
    )


def _fill(stock: Stock, source: Source, engine: Engine) -> Any:
    """The stock model, sharing the memory of every tensor that is the same in both."""
    import transformers
    from accelerate import init_empty_weights

    widths = stock.widths(source)
    fields = source.config() | stock.config(source, widths)
    state = stock.rest(source, source.kept())
    if stock.runs_in[engine].untied and fields["tie_word_embeddings"]:
        fields["tie_word_embeddings"] = False
        state["lm_head.weight"] = state["lm_head.weight"].clone()
    config = getattr(transformers, f"{stock.name}Config")(**fields)
    with init_empty_weights(include_buffers=False):  # buffers that no file holds are computed here
        filled = getattr(transformers, f"{stock.name}ForCausalLM")(config)
    for block, layer in zip(source.anatomy.blocks, source.layers, strict=True):
        if layer is not None:
            mixture = Mixture.of(layer, hidden=widths[0], shared=widths[1])
            state |= {f"{block.site.path}.{name}": value for name, value in stock.mixture(mixture).items()}
    odd = sorted(state.keys() ^ filled.state_dict().keys())
    if odd:
        raise ModelError(
            f"{', '.join(odd[:3])}: merge or remove what was added to the model, or use sparsebench.models.save"
        )
    filled.load_state_dict({name: _dense(value) for name, value in state.items()}, assign=True)
    filled.tie_weights()
    filled.generation_config = copy.deepcopy(source.model.generation_config)
    return filled.requires_grad_(False).eval()


def _dense(value: Any) -> Tensor:
    return value.dense() if _is_packed(value) else value.detach()
