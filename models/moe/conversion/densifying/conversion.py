"""A mixture of experts as a dense model: one FFN for each mixture, of active or of total size."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from ....anatomy import MLP, DescribesAttention, ExpertWeights, Site, describe, is_wrapper, linear_view, see_through
from ....calibration.calls import batch_list, call_model
from ....calibration.mixture_statistics import LayerStatistics, mixture_statistics
from ....errors import ModelError
from ....evaluation import evaluation_mode
from ....hub.declaration import withdraw
from ...layer import MoEFFN
from ...routing.padding import hand_over_masks
from ..dense_ffn import DenseFFN
from ..restoration import restored_modules
from .pieces import Kept, Piece, Score, Size, choose, joined
from .stock_twins import check_twin, dense_twin, twin_name

GATE = "shared_expert_gate"
"""What Qwen2-MoE calls the linear layer whose sigmoid weighs its shared expert."""
LINEARS = ("gate_proj", "up_proj", "down_proj")
"""What a shared expert calls its linear layers."""


def mixture_to_dense(
    model: nn.Module,
    batches: Iterable[object],
    *,
    size: Size = "active",
    score: Score = "frequency",
    statistics: Sequence[LayerStatistics] | None = None,
) -> tuple[nn.Module, dict[int, Kept]]:
    """Make one dense FFN of each mixture: y = shared(x) + sum of c_e E_e(x) over the experts that stay.

    c_e is the mean routing weight of an expert (`pieces.choose`); shared blocks and biases keep their coefficient, or
    the mean of a gate of their own. Exact where routing weights are constant and no expert goes. After "Pruning and
    Distilling Mixture-of-Experts into Dense Language Models" (Kim et al., arXiv 2605.28207, sections 3.1 and 3.2),
    without its merging of experts.

    Args:
        model: what `convert` made, which changes in place into the architecture that it was cut from, or a stock
            mixture of `stock_twins.TWINS`, which stays as it is.
        batches: calibration data.
        size: "active" keeps as many experts as a token chooses, "total" all.
        score: which ones stay.
        statistics: what `mixture_statistics` gave for these batches, where it is there already.

    Returns:
        The dense model, a plain one of transformers that `save_pretrained` saves, and what became of each block.

    Raises:
        ModelError: no mixture, experts that were aligned, merged or adapted, attention experts, an architecture without
            a dense twin or whose configuration does not say one width. Nothing changes.

    Example: `dense, kept = mixture_to_dense(mixtral, [{"input_ids": ids}]); dense.save_pretrained("dense")`.
    """
    batches = batch_list(batches)
    blocks = describe(model).blocks
    mlps = {block.index: block.mlp for block in blocks if block.mlp is not None}
    mixtures = [mlp for mlp in mlps.values() if mlp.experts is not None]
    if not mixtures:
        raise ModelError(f"{type(model).__name__} has no mixture of experts")
    if any(
        block.attention is not None and isinstance(block.attention.site.get(), DescribesAttention) for block in blocks
    ):
        raise ModelError("the attention is a mixture, too: attention_to_dense puts it together again")
    converted = all(isinstance(mlp.site.get(), MoEFFN) for mlp in mixtures)
    if not converted:
        twin_name(model)
    seen = statistics or mixture_statistics(model, batches)
    kept = {layer.block: choose(layer, size, score) for layer in seen}
    gates = shared_gates(model, mlps, batches)
    pieces = {index: _pieces(mlp, kept.get(index), gates.get(index, 1.0)) for index, mlp in mlps.items()}
    width = max(sum(weights.up.shape[0] for weights, _ in found) for found in pieces.values())
    weights = {index: joined(found, width) for index, found in pieces.items()}
    make = _in_place if converted else _as_twin
    return make(model, mlps, weights, width), kept


@torch.no_grad()
def shared_gates(model: nn.Module, mlps: dict[int, MLP], batches: Sequence[object]) -> dict[int, float]:
    """The mean of the sigmoid that weighs a shared expert over all calibration tokens, by block, where there is one.

    Args:
        model: the model.
        mlps: its FFNs by block.
        batches: calibration data; padding counts like other tokens.
    """
    totals: dict[int, list[Tensor]] = {}
    hooks: list[Any] = []
    for index, mlp in mlps.items():
        gate = getattr(mlp.site.get(), GATE, None)
        if gate is not None:
            found = totals.setdefault(index, [])
            hooks.append(
                gate.register_forward_hook(
                    lambda module, args, output, found=found: found.append(output.sigmoid().double().flatten())
                )
            )
    try:
        with evaluation_mode(model):
            for batch in batches if hooks else ():
                call_model(model, batch)
    finally:
        for hook in hooks:
            hook.remove()
    return {index: float(torch.cat(found).mean()) for index, found in totals.items()}


def _pieces(mlp: MLP, kept: Kept | None, gate: float) -> list[Piece]:
    """What is added up in a block, without biases of down projections: of a dense one its FFN."""
    if mlp.experts is None or kept is None:
        if mlp.kind not in ("gated", "plain"):
            raise ModelError(f"{mlp.site.path} is of kind {mlp.kind!r}: it cannot be one dense FFN")
        dense = DenseFFN.of(mlp)
        return [(ExpertWeights(dense.gate, dense.up, dense.down, dense.gate_bias, dense.up_bias), 1.0)]
    layer = mlp.site.get()
    if mlp.experts.table is not None or is_wrapper(layer.experts):
        raise ModelError(f"{mlp.site.path}: experts were merged, replaced or have adapters, which would be lost")
    shared: list[ExpertWeights] = []
    if isinstance(layer, MoEFFN):
        if layer.alignment is not None or is_wrapper(layer.shared):
            raise ModelError(f"{mlp.site.path} has an alignment or adapters, which a dense FFN cannot hold")
        if layer.shared is not None:
            shared = [layer.shared.weights(place) for place in range(len(layer.shared.sizes))]
    elif mlp.experts.shared is not None:
        shared = [_shared(mlp.experts.shared)]
    chosen = [(mlp.experts.weights(e), factor) for e, factor in zip(kept.experts, kept.coefficients, strict=True)]
    return [*((weights, gate) for weights in shared), *chosen]


def _down_bias(mlp: MLP) -> Tensor | None:
    """The bias that is added once, whatever the experts."""
    layer = mlp.site.get()
    if isinstance(layer, MoEFFN):
        return layer.down_bias
    return None if mlp.experts is not None else DenseFFN.of(mlp).down_bias


def _shared(site: Site) -> ExpertWeights:
    linears = [linear_view(see_through(site.get(), name).get(), f"{site.path}.{name}") for name in LINEARS]
    gate, up, down = linears
    return ExpertWeights(gate.weight, up.weight, down.weight, gate.bias, up.bias, down.bias)


@torch.no_grad()
def _in_place(model: Any, mlps: dict[int, MLP], weights: dict[int, ExpertWeights], width: int) -> nn.Module:
    """Put dense FFNs of this width into a converted model."""
    biases = {index: _down_bias(mlp) for index, mlp in mlps.items()}
    modules: dict[int, Sequence[nn.Module]] = {}
    hidden: set[int] = set()
    for index, mlp in mlps.items():
        layer = mlp.site.get()
        if isinstance(layer, MoEFFN):
            modules[index] = restored_modules(layer)
            hidden.add(layer.hidden)
        else:
            modules[index] = [site.get() for site in mlp.parts]
            hidden.add(mlp.hidden)
        for module in modules[index]:
            _check_linears(module)
    if hidden != {getattr(model.config, "intermediate_size", None)}:
        raise ModelError(
            f"the configuration of {type(model).__name__} does not say {sorted(hidden)} neurons as intermediate_size: "
            "a dense FFN of another width could not be loaded"
        )
    for index, mlp in mlps.items():
        mlp.replace(*modules[index])
    hand_over_masks(model)
    withdraw(model, "moe")
    for block in describe(model).blocks:
        if block.mlp is not None:
            _fill(block.mlp, weights[block.index], biases[block.index])
            _tell(block.mlp.site.get(), width)
    _tell(model.config, width)
    return model.requires_grad_(True)


@torch.no_grad()
def _as_twin(model: nn.Module, mlps: dict[int, MLP], weights: dict[int, ExpertWeights], width: int) -> nn.Module:
    """A dense model with everything else of a stock mixture."""
    twin = dense_twin(model, width)
    modules = []
    for block in describe(twin).blocks:
        assert block.mlp is not None
        _fill(block.mlp, weights[block.index], _down_bias(mlps[block.index]))
        modules.append(block.mlp.site.get())
    check_twin(model, twin, list(mlps.values()), modules)
    return twin


def _check_linears(module: nn.Module) -> None:
    own = {
        id(parameter) for child in module.modules() if isinstance(child, nn.Linear) for parameter in child.parameters()
    }
    if any(id(parameter) not in own for parameter in module.parameters()):
        raise ModelError(
            f"{type(module).__name__} holds weights that are in no torch.nn.Linear: its width cannot change"
        )


def _fill(mlp: MLP, weights: ExpertWeights, down_bias: Tensor | None) -> None:
    assert mlp.down is not None
    _put(mlp.down, weights.down, down_bias)
    if mlp.gate_up is not None:
        assert weights.gate is not None
        bias = (
            None
            if weights.gate_bias is None or weights.up_bias is None
            else torch.cat((weights.gate_bias, weights.up_bias))
        )
        _put(mlp.gate_up, torch.cat((weights.gate, weights.up)), bias)
        return
    if mlp.gate is not None:
        assert weights.gate is not None
        _put(mlp.gate, weights.gate, weights.gate_bias)
    assert mlp.up is not None
    _put(mlp.up, weights.up, weights.up_bias)


def _put(site: Site, weight: Tensor, bias: Tensor | None) -> None:
    """A linear layer with these weights in the place of another."""
    old = site.get()
    new = nn.Linear(weight.shape[1], weight.shape[0], old.bias is not None, weight.device, weight.dtype)
    new.weight.copy_(weight)
    if new.bias is not None:
        # Biases of experts lie in one tensor, which has zeros for what has none.
        new.bias.zero_() if bias is None else new.bias.copy_(bias)
    elif bias is not None and bool(bias.any()):
        raise ModelError(f"{site.path} has no bias, and the experts have one")
    site.replace(new.train(old.training))


def _tell(holder: Any, width: int) -> None:
    if isinstance(getattr(holder, "intermediate_size", None), int):
        holder.intermediate_size = width
