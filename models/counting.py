"""Parameters, bytes and FLOPs of a model. Tensors that several modules share count once."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import is_traceable_wrapper_subclass
from torch.utils.flop_counter import FlopCounterMode

from .anatomy import Experts, ListedExperts, UnknownAnatomy, describe, is_wrapper
from .errors import ModelError

_PLAIN: Any = Tensor


@runtime_checkable
class CountsActive(Protocol):
    """A module that knows how many of its parameters work on one token (our MoE layer)."""

    def active_parameters(self) -> int:
        """Expected number of parameters active per token."""
        ...


@runtime_checkable
class Masked(Protocol):
    """A module that has lost entries of its weight and does not store them (a pruned adapter)."""

    def masked_out(self) -> int:
        """Number of removed entries."""
        ...

    def mask_bytes(self) -> int:
        """Bytes that say which entries are left; 0 where nothing was removed."""
        ...


@runtime_checkable
class RoutedAdapter(Protocol):
    """A module around routed experts with parameters of its own for each of them (an adapter)."""

    def idle_parameters(self, top_k: int) -> int:
        """Expected number of these that do not work on a token, which chooses `top_k` experts."""
        ...


@dataclass(frozen=True, kw_only=True)
class ParameterCounts:
    """Numbers of parameters.

    `total`: with the removed entries of pruned adapters, which are not stored. `trainable`: require a gradient.
    `active`: work on one token; routed experts count k / N. `nonzero`: not removed; a weight that merely happens to be
    0 counts.
    """

    total: int
    trainable: int
    active: int
    nonzero: int


def count_parameters(model: nn.Module) -> ParameterCounts:
    """Count the parameters of a model of any kind; experts are found through its anatomy or `active_parameters`.

    Args:
        model: any model.

    Raises:
        ModelError: a mixture whose experts neither of them knows, of which the active ones cannot be counted.
    """
    stored = _numel(model)
    removed = sum(module.masked_out() for module in model.modules() if isinstance(module, Masked))
    return ParameterCounts(
        total=stored + removed,
        trainable=sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad),
        active=stored - _inactive(model),
        nonzero=stored,
    )


def stored_bytes(model: nn.Module) -> int:
    """Bytes of the parameters and persistent buffers; each storage counts once, however many tensors view it.

    A tensor that wraps others (a quantised one of torchao) counts with what it wraps.

    Args:
        model: any model.

    Raises:
        ModelError: a tensor that does not say what it wraps.
    """
    storages: dict[int, int] = {}
    for name, value in model.state_dict(keep_vars=True).items():
        if isinstance(value, Tensor):
            for tensor in _plain_tensors(value, name):
                storage = tensor.untyped_storage()
                storages[storage._cdata] = storage.nbytes()
    return sum(storages.values())


def _plain_tensors(tensor: Tensor, name: str) -> Iterator[Tensor]:
    """The tensors with memory of their own behind this one."""
    if is_traceable_wrapper_subclass(tensor):
        inner, _ = tensor.__tensor_flatten__()
        for attribute in inner:
            yield from _plain_tensors(getattr(tensor, attribute), f"{name}.{attribute}")
        return
    kind: Any = type(tensor)
    if kind.__torch_dispatch__ is not _PLAIN.__torch_dispatch__:
        raise ModelError(
            f"{name} is a {type(tensor).__name__}, which computes in its own way and does not say what it wraps "
            "(__tensor_flatten__): its bytes cannot be counted"
        )
    yield tensor


def trained_bytes(model: nn.Module) -> int:
    """Bytes of what training changes, which is what one more task costs on disk in addition to a shared backbone.

    The trainable parameters (those that pruning left), and a bit for each entry of a pruned weight.
    """
    trained = sum(parameter.nbytes for parameter in model.parameters() if parameter.requires_grad)
    return trained + sum(module.mask_bytes() for module in model.modules() if isinstance(module, Masked))


def flops(model: Callable[..., object], *inputs: object, **keywords: object) -> int:
    """Floating-point operations of one forward pass (a multiply-add is two), as torch's flop counter sees them.

    Matrix products, convolutions, attention and recurrent layers count; element-wise work does not.

    Args:
        model: what is called.
        inputs: its arguments.
        keywords: its keyword arguments.

    Returns:
        The number.
    """
    with torch.no_grad(), counted_flops() as reading:
        model(*inputs, **keywords)
    return reading()


def training_flops(loss: Callable[[], torch.Tensor]) -> int:
    """Floating-point operations of a loss and its gradient, counted as in `flops`; the gradients are left behind."""
    with torch.enable_grad(), counted_flops() as reading:
        loss().backward()
    return reading()


@contextmanager
def counted_flops() -> Iterator[Callable[[], int]]:
    """Counts the operations inside as `flops` does; what it gives reads how many there were so far, or in the end."""
    fast_path = torch.backends.mha.get_fastpath_enabled()
    # In evaluation torch's own transformer layers are one operator, of which no product would be seen.
    torch.backends.mha.set_fastpath_enabled(False)
    try:
        with FlopCounterMode(display=False, custom_mapping=_FLOP_FORMULAS) as counter:
            yield counter.get_total_flops
    finally:
        torch.backends.mha.set_fastpath_enabled(fast_path)


# Shapes: query (B, H, T, E), key (B, G, S, E), value (B, G, S, F), where G heads may serve H queries: torch's formulas
# want G = H before torch 2.10.

Shape = Sequence[int]


def _product(left: Shape, right: Shape) -> int:
    """(..., n, k) by (..., k, m) or (k,)."""
    return 2 * math.prod(left) * (right[-1] if len(right) > 1 else 1)


def _of_two(left: Shape, right: Shape, *args: object, **keywords: object) -> int:
    return _product(left, right)


def _added(added_to: Shape, left: Shape, right: Shape, *args: object, **keywords: object) -> int:
    return _product(left, right)


def _grouped_mm(rows: Shape, weights: Shape, *args: object, **keywords: object) -> int:
    """Rows (tokens, in) against stacked weights (experts, in, out), the experts kernel of transformers."""
    return 2 * rows[0] * weights[-2] * weights[-1]


def _attention(query: Shape, key: Shape, value: Shape, *args: object, **keywords: object) -> int:
    """Scores and weighted values, every key against every query whatever the mask."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[-2] * (width + value[-1])


def _attention_backward(grad: Shape, query: Shape, key: Shape, value: Shape, *args: object, **keywords: object) -> int:
    """The scores once more, and the gradients of weights, values, queries and keys: as torch counts it on a GPU."""
    batch, heads, queries, width = query
    return 2 * batch * heads * queries * key[-2] * (3 * width + 2 * value[-1])


def _convolution_backward(
    grad: Shape,
    x: Shape,
    weight: Shape,
    bias: object,
    stride: object,
    padding: object,
    dilation: object,
    transposed: bool,
    output_padding: object,
    groups: int,
    wanted: Sequence[bool],
    **keywords: object,
) -> int:
    """Gradients of input and weight, each as much as forward; torch has the latter as often as there are groups."""
    positions = (x if transposed else grad)[2:]
    return 2 * x[0] * math.prod(positions) * math.prod(weight) * sum(wanted[:2])


def _recurrent(x: Shape, weights: Sequence[Shape]) -> int:
    """Every matrix of the layers once for each row (..., in)."""
    matrices = sum(math.prod(weight) for weight in weights if len(weight) == 2)
    return 2 * math.prod(x[:-1]) * matrices


def _cpu_rnn(x: Shape, inward: Shape, recurrent: Shape, *args: object, **keywords: object) -> int:
    return _recurrent(x, (inward, recurrent))


def _cpu_rnn_backward(x: Shape, inward: Shape, recurrent: Shape, *args: object, **keywords: object) -> int:
    """Of the rows and of the matrices, each as much as forward."""
    return 2 * _recurrent(x, (inward, recurrent))


def _gpu_rnn(x: Shape, weights: Sequence[Shape], *args: object, **keywords: object) -> int:
    return _recurrent(x, weights)


def _gpu_rnn_backward(x: Shape, weights: Sequence[Shape], *args: object, **keywords: object) -> int:
    return 2 * _recurrent(x, weights)


_ATEN = torch.ops.aten
_FLOP_FORMULAS = {
    _ATEN._grouped_mm: _grouped_mm,
    _ATEN._scaled_dot_product_flash_attention_for_cpu: _attention,
    _ATEN._scaled_dot_product_flash_attention_for_cpu_backward: _attention_backward,
    _ATEN.convolution_backward: _convolution_backward,
    _ATEN.mkldnn_rnn_layer: _cpu_rnn,
    _ATEN.mkldnn_rnn_layer_backward: _cpu_rnn_backward,
    _ATEN._cudnn_rnn: _gpu_rnn,
    _ATEN._cudnn_rnn_backward: _gpu_rnn_backward,
    _ATEN.mv: _of_two,
    _ATEN.addmv: _added,
    _ATEN.addmm_: _added,
    _ATEN.addbmm: _added,
    _ATEN.baddbmm_: _added,
    _ATEN._addmm_activation: _added,
}
"""Of what torch's counter does not know, or counts too high, by operator."""


def _numel(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def _inactive(model: nn.Module) -> int:
    """Idle parameters of routed experts, ours and stock ones."""
    idle = 0
    known: set[int] = set()
    for module in model.modules():
        if isinstance(module, CountsActive):
            idle += _numel(module) - module.active_parameters()
            known |= {id(inner) for inner in module.modules()}
    for mixture, experts in _stock_mixtures(model):
        numel = experts.numel()
        idle += numel - numel * experts.top_k // experts.num_experts
        known |= {id(inner) for inner in _modules_of(experts)}
        for inner in mixture.modules():
            if isinstance(inner, RoutedAdapter):
                idle += inner.idle_parameters(experts.top_k)
                known.add(id(inner))
    for name, module in model.named_modules():
        if _looks_routed(name, module) and id(module) not in known:
            raise ModelError(
                f"{name} in {type(model).__name__} looks like routed experts that no describer names, so that their "
                "active parameters cannot be counted: register one (sparsebench.models.anatomy.register_describer)"
            )
    return idle


def _stock_mixtures(model: nn.Module) -> Iterator[tuple[nn.Module, Experts]]:
    """The mixtures in the view of a model that do not count themselves, and their experts."""
    try:
        anatomy = describe(model)
    except UnknownAnatomy:
        return
    for block in anatomy.blocks:
        if block.mlp is None or block.mlp.experts is None or isinstance(block.mlp.site.get(), CountsActive):
            continue
        yield block.mlp.site.get(), block.mlp.experts


def _modules_of(experts: Experts) -> Iterator[nn.Module]:
    for site in experts.tensors:
        yield site.parent
    if experts.module is not None:
        yield from experts.module.get().modules()
    if isinstance(experts, ListedExperts):
        yield from experts.container.get().modules()


def _looks_routed(name: str, module: nn.Module) -> bool:
    """Whether a module is named as the experts of a mixture are in every library; shared experts are always active."""
    last = name.rpartition(".")[2].lower()
    named = last == "experts" or type(module).__name__.endswith("Experts")
    return named and "shared" not in last and not is_wrapper(module) and next(module.parameters(), None) is not None
