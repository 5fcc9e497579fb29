"""The C++ kernels, called with plain pointers: no version of torch's own C++ interface is relied on."""

from __future__ import annotations

import ctypes
import functools
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from pathlib import Path

import torch
from torch import Tensor

from ...native.build import Built, NotAvailableError, library
from ...native.forms import fastest, octave
from .operators import Operators, Plan

# Shapes: T tokens, D width, K chosen experts, N experts, M hidden neurons, S (token, expert) pairs.

SOURCE = Path(__file__).with_name("kernel.cpp")
OPTIONAL = ("amx_tile", "amx_bf16")
"""The matrix unit for bfloat16."""
RULES = ("softmax of chosen", "softmax of all", "equal", "sigmoid", "sigmoid share")
LEAST_WIDTH, LEAST_HIDDEN = 32, 16
"""Of what the matrix unit takes: the output columns, and the hidden neurons, of one task in `kernel.cpp`."""
MATRIX_ROWS = 64
"""By rule, rows per expert from which bfloat16 goes to a matrix unit, in ordinary products."""
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {
    "experts": [_POINTER] * 6 + [_INT] * 5,
    "kept_experts": [_POINTER] * 10 + [_INT] * 5,
    "route": [_POINTER] * 4 + [_INT] * 5 + [ctypes.c_float],
    "gate": [_POINTER] * 4 + [_INT] * 2,
    "gate_backward": [_POINTER] * 7 + [_INT] * 2,
    "combine": [_POINTER] * 3 + [_INT] * 3,
}


class Native(Operators):
    """Calls on contiguous CPU tensors of the `dtypes`; int64 indices and float32 weights."""

    def __init__(self, built: Built) -> None:
        loaded = ctypes.CDLL(str(built.path))
        self.built = built
        self.used = False
        self.dtypes = (torch.float32, torch.bfloat16) if built.bf16 else (torch.float32,)
        self.matrix_unit = built.matrix_unit
        self._matrix = {}
        if set(OPTIONAL) <= set(built.features) and loaded.sparsebench_matrix_unit():
            for name in ("experts", "kept_experts"):
                self._matrix[name] = _function(
                    loaded, f"sparsebench_{name.replace('experts', 'matrix_experts')}", _SIGNATURES[name]
                )
        self._plan = _function(loaded, "sparsebench_plan", [_POINTER, _INT, _INT, _POINTER, _POINTER, _POINTER])
        self._gather = _function(loaded, "sparsebench_gather", [_POINTER] * 3 + [_INT] * 3)
        self._typed = {
            (name, dtype): _function(loaded, f"sparsebench_{name}_{str(dtype).removeprefix('torch.')}", signature)
            for name, signature in _SIGNATURES.items()
            for dtype in self.dtypes
        }

    def evaluated(self, *tensors: Tensor) -> Tensor:
        """The layer (T, D) in the fastest form: `experts`, ordinary products of sorted rows, or the matrix unit."""
        if _is_thin(tensors):
            return self.experts(*tensors)
        forms: dict[str, Callable[..., Tensor]] = {"kernel": self.experts, "products": self._by_products}
        if self.takes_matrix_unit(tensors[0], tensors[-1]):
            forms["matrix unit"] = self.matrix_experts
        return forms[self._fastest("experts", forms, tensors)](*tensors)

    def forward(
        self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor
    ) -> tuple[Tensor, Tensor, Plan]:
        """The same with what a way back needs, as `Operators.forward` says."""
        tensors = (x_TD, index_TK, weight_TK, gate_up, down)
        if _is_thin(tensors):
            return self._kept(*tensors)
        forms: dict[str, Callable[..., tuple[Tensor, Tensor, Plan]]]
        forms = {"kernel": self._kept, "products": super().forward}
        if self.takes_matrix_unit(x_TD, down):
            forms["matrix unit"] = self._kept_by_matrix_unit
        return forms[self._fastest("experts to be trained", forms, tensors)](*tensors)

    @property
    def has_matrix_form(self) -> bool:
        """Whether there is a matrix unit for bfloat16 that this process may use."""
        return bool(self._matrix)

    def takes_matrix_unit(self, x_TD: Tensor, down: Tensor) -> bool:
        """Whether there is a matrix unit, and `matrix_experts` has a place for such sizes: even, not too few."""
        _, width, hidden = down.shape
        fits = width % 2 == hidden % 2 == 0 and width >= LEAST_WIDTH and hidden >= LEAST_HIDDEN
        return self.has_matrix_form and x_TD.dtype is torch.bfloat16 and fits

    def _fastest(self, what: str, forms: Mapping[str, Callable[..., object]], tensors: Sequence[Tensor]) -> str:
        x_TD, index_TK, _, _, down = tensors
        rows = index_TK.numel() / len(down)
        products_by_rule = rows > MATRIX_ROWS and x_TD.dtype is torch.bfloat16 and self.matrix_unit
        rule = "products" if products_by_rule else "kernel"
        kind = (what, str(x_TD.dtype), *down.shape, index_TK.shape[1], octave(rows))
        return fastest(kind, {name: partial(form, *tensors) for name, form in forms.items()}, rule)

    def _by_products(self, *tensors: Tensor) -> Tensor:
        return super().forward(*tensors)[0]

    def experts(self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor) -> Tensor:
        """The whole layer: sum of weight times W_down (silu(W_gate x) * (W_up x)), (T, D)."""
        return _called(self._typed["experts", x_TD.dtype], x_TD, index_TK, weight_TK, gate_up, down)

    def matrix_experts(self, *tensors: Tensor) -> Tensor:
        """The same by the matrix unit, for what it takes (`takes_matrix_unit`)."""
        return _called(self._matrix["experts"], *tensors)

    def _kept(
        self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor
    ) -> tuple[Tensor, Tensor, Plan]:
        """The whole layer in C++, as `Operators.forward` says."""
        return _kept_of(self._typed["kept_experts", x_TD.dtype], x_TD, index_TK, weight_TK, gate_up, down)

    def _kept_by_matrix_unit(self, *tensors: Tensor) -> tuple[Tensor, Tensor, Plan]:
        return _kept_of(self._matrix["kept_experts"], *tensors)

    def route(self, x_TD: Tensor, router_ND: Tensor, top_k: int, rule: str, factor: float) -> tuple[Tensor, Tensor]:
        """Indices (T, K) of the best experts, best first, and their float32 weights times `factor`."""
        index = torch.empty(len(x_TD), top_k, dtype=torch.int64, device="cpu")
        weight = torch.empty(len(x_TD), top_k, dtype=torch.float32, device="cpu")
        pointers = [tensor.data_ptr() for tensor in (x_TD, router_ND, index, weight)]
        sizes = (*x_TD.shape, top_k, len(router_ND))
        self._typed["route", x_TD.dtype](*pointers, *sizes, RULES.index(rule), factor)
        return index, weight

    def plan(self, index_TK: Tensor, experts: int) -> Plan:
        """Which rows go to which expert, as `Operators.plan` says."""
        counts = index_TK.new_empty(experts)
        order = index_TK.new_empty(index_TK.numel())
        place = torch.empty_like(index_TK)
        found = (tensor.data_ptr() for tensor in (counts, order, place))
        self._plan(index_TK.data_ptr(), index_TK.numel(), experts, *found)
        return Plan(counts.tolist(), order, place)

    def gather(self, x_TD: Tensor, order_S: Tensor, top_k: int, out_SD: Tensor) -> None:
        """The rows in the order of their experts, as `Operators.gather` says."""
        pointers = (tensor.data_ptr() for tensor in (x_TD, order_S, out_SD))
        self._gather(*pointers, len(out_SD), top_k, x_TD.shape[1] * x_TD.element_size())

    def gate(self, inward_SM: Tensor, order_S: Tensor, weight_TK: Tensor, out_SM: Tensor) -> None:
        """Weight times activation times up projection, as `Operators.gate` says."""
        pointers = (tensor.data_ptr() for tensor in (inward_SM, order_S, weight_TK, out_SM))
        self._typed["gate", out_SM.dtype](*pointers, *out_SM.shape)

    def gate_backward(
        self,
        inward_SM: Tensor,
        order_S: Tensor,
        weight_TK: Tensor,
        grad_SM: Tensor,
        grad_inward: Tensor,
        hidden: Tensor,
    ) -> Tensor:
        """Gradients of `gate`, as `Operators.gate_backward` says."""
        grad_weight = torch.zeros_like(weight_TK)
        tensors = (inward_SM, order_S, weight_TK, grad_SM, grad_inward, grad_weight, hidden)
        self._typed["gate_backward", hidden.dtype](*(tensor.data_ptr() for tensor in tensors), *hidden.shape)
        return grad_weight

    def combine(self, rows_SD: Tensor, place_TK: Tensor) -> Tensor:
        """The sum of the rows of each token, as `Operators.combine` says."""
        out = rows_SD.new_empty(len(place_TK), rows_SD.shape[1])
        pointers = (tensor.data_ptr() for tensor in (rows_SD, place_TK, out))
        self._typed["combine", rows_SD.dtype](*pointers, *out.shape, place_TK.shape[1])
        return out


def _is_thin(tensors: Sequence[Tensor]) -> bool:
    """Whether experts have a row or so: the kernel reads each weight once, and others would sort for nothing."""
    return tensors[1].numel() <= len(tensors[4])


def _called(
    layer: Callable[..., None], x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor
) -> Tensor:
    out = torch.empty_like(x_TD)
    pointers = [tensor.data_ptr() for tensor in (x_TD, index_TK, weight_TK, gate_up, down, out)]
    layer(*pointers, *x_TD.shape, index_TK.shape[1], len(down), down.shape[2])
    return out


def _kept_of(
    layer: Callable[..., None], x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Tensor, down: Tensor
) -> tuple[Tensor, Tensor, Plan]:
    """The same with what went into the activation (S, 2M) and the plan of the pairs."""
    pairs = index_TK.numel()
    out = torch.empty_like(x_TD)
    inward = x_TD.new_empty(pairs, 2 * down.shape[2])
    counts = index_TK.new_empty(len(down))
    order = index_TK.new_empty(pairs)
    place = torch.empty_like(index_TK)
    tensors = (x_TD, index_TK, weight_TK, gate_up, down, out, inward, counts, order, place)
    layer(*(tensor.data_ptr() for tensor in tensors), *x_TD.shape, index_TK.shape[1], len(down), down.shape[2])
    plan = Plan(counts.tolist(), order, place)
    return out, inward[: sum(plan.counts)], plan


def _function(loaded: ctypes.CDLL, name: str, signature: list) -> Callable[..., None]:
    function = getattr(loaded, name)
    function.argtypes = signature
    function.restype = None
    return function


@functools.cache
def _load() -> Native | str:
    try:
        return Native(library(SOURCE, optional=OPTIONAL))
    except NotAvailableError as error:
        return str(error)
    except OSError as error:
        return f"the compiled library cannot be loaded: {error}"


def native() -> Native | None:
    """The kernels, built at the first call, or None where they cannot be had."""
    loaded = _load()
    if not isinstance(loaded, Native):
        return None
    loaded.used = True
    return loaded


def take_use() -> Built | None:
    """The compiled library, if `native` gave it to anybody since the last call: what a record names."""
    loaded = _load() if _load.cache_info().currsize else None
    if not isinstance(loaded, Native) or not loaded.used:
        return None
    loaded.used = False
    return loaded.built


def status() -> str:
    """One line for people: whether the kernels are in use, and why not."""
    loaded = _load()
    if isinstance(loaded, str):
        return f"C++ experts: not in use ({loaded}); PyTorch operators instead"
    dtypes = "float32 and bfloat16" if torch.bfloat16 in loaded.dtypes else "float32"
    unit = ", a matrix unit for bfloat16" if loaded.has_matrix_form else ""
    return f"C++ experts: in use, AVX-512 for {dtypes}{unit}"
