"""Write a converted language model as a checkpoint of a stock architecture of transformers."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any, Literal, get_args

from torch import Tensor, nn

from ...errors import ModelError, check_choice
from ...hub.atomic_folder import written
from ...hub.comparison import check_outputs
from .choice import choose
from .mixture import Mixture
from .source import ROWS, Source
from .stock import Engine, Stock

NEURONS = {"vllm": 32, "compressed-tensors": 32}
"""Of which the width of experts is a multiple, where another than `ROWS` is: vLLM's kernels on a CPU give no numbers
for others, and 32 columns are the smallest group that it takes of packed weights."""
Weights = Literal["as they are", "dense"]


def export(
    model: nn.Module,
    path: str | Path,
    *,
    engine: Engine = "transformers",
    weights: Weights = "as they are",
    architecture: str | None = None,
    tokenizer: Any = None,
) -> str:
    """Write a converted decoder so that `AutoModelForCausalLM.from_pretrained(path)` loads it, without this package.

    Llama, Mistral, Qwen2, Qwen3, Granite, Gemma (the first), Phi-3 and OLMo 2 go out, and SmolLM3 if all blocks have
    rotary positions. The checkpoint is of the first architecture in `choice.STOCK` that computes the same function in
    the engine; `models/ENGINES.md` has what was measured. The factor s of the routed output (and the gain of an
    alignment) is folded into the down projections, and experts of fewer neurons than the largest end in zero neurons,
    up to a multiple of 8. Where an architecture has no multipliers (Granite, Gemma) those are folded into weights too,
    and a tied head is no longer tied. Where it has no shared block and weights sum to 1, the neurons of the shared
    block are appended to those of every expert: the same outputs from a larger file. The logits are those of the model
    up to rounding, but for tokens at a tie of two experts, which may go to the other one. Ties are common in bfloat16:
    most stock routers compute logits in the model's dtype, ours in float32. Folding rounds once more there, unless the
    factor is a power of 2.

    What happens in training only is not written: noise of the router, a capacity, balance losses, a straight-through
    gradient, DenseMixer. The bias of `balance="bias"` is, with sigmoid scores: no architecture has one on others.

    A generation in which Phi-3's 'longrope' positions go over to their long factors differs from there on: Phi-3 makes
    its cache of keys anew then, the stock mixture keeps the keys that it has.

    Args:
        model: what `convert` made.
        path: a folder that is not there, or is empty. `sparsebench.models.save` writes our own format.
        engine: what is to run it; transformers opens the folder as well. "llama.cpp" stands for its converter to GGUF
            and what that gives; "compressed-tensors" for an architecture with matrices for each expert, 32 neurons at a
            time, as `export_compressed_tensors` needs after the folder was loaded and quantised.
        weights: "dense" writes the dense weights that quantised ones stand for. To keep them packed, export for
            "compressed-tensors" first.
        architecture: its name, such as "mixtral" or "qwen2_moe"; None: the first in `choice.STOCK` that fits.
        tokenizer: is saved along with the model if given.

    Returns:
        The name of the architecture's class.

    Raises:
        ModelError: the folder is not empty, weights are quantised, no stock architecture that the engine runs has some
            part of the model (the message names the part), or the outputs on a few rows are not those of the model.
            Nothing is written.
    """
    check_choice("weights", weights, get_args(Weights))
    packed = [name for name, value in model.named_parameters() if _is_packed(value)]
    if packed and weights != "dense":
        raise _quantised(packed)
    filled = stock_model(model, engine=engine, architecture=architecture)
    if not packed:  # products with packed weights round their inputs, too
        check_outputs(model, filled, f"the {type(filled).__name__} would not compute what the model does")
    with written(path) as folder:
        filled.save_pretrained(folder)
        if tokenizer is not None:
            tokenizer.save_pretrained(folder)
    return type(filled).__name__


def stock_model(model: nn.Module, *, engine: Engine = "transformers", architecture: str | None = None) -> Any:
    """The model of a stock architecture that computes what a converted decoder does, with the dense weights.

    Nothing is written, and outputs are not compared: `export` does both.

    Args:
        model: what `convert` made.
        engine: what is to run it, as in `export`.
        architecture: its name, as in `export`.

    Returns:
        A model of transformers; its tensors share the memory of those that are the same in both.

    Raises:
        ModelError: no stock architecture that the engine runs has some part of the model, or another one than that.
    """
    check_choice("engine", engine, get_args(Engine))
    stock, source = choose(Source.of(model, NEURONS.get(engine, ROWS)), engine, architecture)
    return _fill(stock, source, engine)


def architectures(model: nn.Module) -> dict[Engine, str]:
    """Which architecture `export` would write a converted model as, for each engine.

    Args:
        model: any model.

    Returns:
        By engine the name of the architecture, or in brackets why there is none.
    """
    found: dict[Engine, str] = {}
    for engine in get_args(Engine):
        try:
            stock, _ = choose(Source.of(model, NEURONS.get(engine, ROWS)), engine)
            found[engine] = stock.name
        except ModelError as error:
            found[engine] = f"({error})"
    return found


def _quantised(names: list[str]) -> ModelError:
    return ModelError(
        f"{len(names)} weights are quantised, as {names[0]}: weights='dense' writes the dense ones that they stand "
        "for; for a packed checkpoint export before you quantise, load it, quantise that, and write it by "
        "compression.quantisation.export_compressed_tensors"
    )


def _is_packed(value: Tensor) -> bool:
    """Whether a weight of `compression`, which this room does not know, stands for a dense one."""
    return hasattr(value, "dense")


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
            mixture = Mixture.of(layer, widths, factor=source.factor, repeated=source.repeated)
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
