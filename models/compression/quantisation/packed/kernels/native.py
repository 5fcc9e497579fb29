"""The C++ kernels for packed weights, called with plain pointers."""

from __future__ import annotations

import ctypes
import functools
from pathlib import Path

import torch
from torch import Tensor

from .....native.build import Built, NotAvailableError, library
from ...grid import LEAST_BITS, MOST_BITS
from .codes import Codes

# Shapes: R rows, I inputs, O outputs; T tokens, D width, K chosen experts, N experts, M hidden neurons.

SOURCE = Path(__file__).with_name("packed.cpp")
NEEDED = ("avx512_vnni",)
OPTIONAL = ("avx512vbmi", "amx_tile", "amx_int8")
"""For codes that do not fill halves of bytes, and the matrix unit."""
_POINTER, _INT = ctypes.c_void_p, ctypes.c_int64
_SIGNATURES = {"linear": [_POINTER] * 6 + [_INT] * 7, "experts": [_POINTER] * 10 + [_INT] * 12}


class PackedKernels:
    """Calls on contiguous CPU tensors of the `dtypes`, which the scales have, too.

    A row of inputs is rounded to 8 bits, in chunks of 64 columns with a scale of their own, largest entry to 127; sums
    within a chunk are exact, and those of chunks are added in float32. Rows do not see each other.
    """

    def __init__(self, built: Built) -> None:
        loaded = ctypes.CDLL(str(built.path))
        self.built = built
        self.used = False
        self.dtypes = (torch.float32, torch.bfloat16) if built.bf16 else (torch.float32,)
        self.bits = tuple(range(LEAST_BITS, MOST_BITS + 1)) if "avx512vbmi" in built.features else (4, 8)
        self._use_matrix_unit = loaded.sparsebench_matrix_unit
        self._use_matrix_unit.argtypes = [_INT]
        self.matrix_unit = self.use_matrix_unit(True)
        self._typed = {}
        for name, signature in _SIGNATURES.items():
            for dtype in self.dtypes:
                function = getattr(loaded, f"sparsebench_{name}_{str(dtype).removeprefix('torch.')}")
                function.argtypes = signature
                function.restype = None
                self._typed[name, dtype] = function

    def use_matrix_unit(self, wanted: bool) -> bool:
        """Whether products of many rows go to the matrix unit from now on; their results are the same to the bit."""
        return bool(self._use_matrix_unit(int(wanted)))

    def linear(self, x_RI: Tensor, weight: Codes, bias: Tensor | None = None) -> Tensor:
        """x W^T + bias, (R, O)."""
        rows, inputs = x_RI.shape
        out = x_RI.new_empty(rows, weight.outputs)
        at = None if bias is None else bias.data_ptr()
        pointers = (x_RI.data_ptr(), *weight.pointers, at, out.data_ptr())
        self._typed["linear", x_RI.dtype](*pointers, rows, inputs, weight.outputs, weight.grid.bits, *weight.layout)
        return out

    def experts(self, x_TD: Tensor, index_TK: Tensor, weight_TK: Tensor, gate_up: Codes, down: Codes) -> Tensor:
        """Sum over the chosen experts of weight times W_down (silu(W_gate x) * (W_up x)), (T, D).

        `gate_up` (N, 2M, D), gate first, and `down` (N, D, M) on one grid; float32 weights, and int64 indices, of
        which whatever is none of 0 to N - 1 stands for no expert.
        """
        out = torch.empty_like(x_TD)
        tokens, width = x_TD.shape
        sizes = (tokens, width, index_TK.shape[1], len(down.words), down.columns, down.grid.bits)
        plain = (tensor.data_ptr() for tensor in (x_TD, index_TK, weight_TK, out))
        self._typed["experts", x_TD.dtype](
            *plain, *gate_up.pointers, *down.pointers, *sizes, *gate_up.layout, *down.layout
        )
        return out


@functools.cache
def _load() -> PackedKernels | str:
    try:
        return PackedKernels(library(SOURCE, NEEDED, OPTIONAL))
    except NotAvailableError as error:
        return str(error)
    except OSError as error:
        return f"the compiled library cannot be loaded: {error}"


def kernels() -> PackedKernels | None:
    """The kernels, built at the first call, or None where they cannot be had."""
    loaded = _load()
    if not isinstance(loaded, PackedKernels):
        return None
    loaded.used = True
    return loaded


def obstacle(dtype: torch.dtype = torch.float32, bits: int = 8) -> str | None:
    """Why the kernels cannot be had here for numbers of this type and codes of so many bits; None: they can."""
    loaded = _load()
    if isinstance(loaded, str):
        return loaded
    if dtype not in loaded.dtypes:
        return f"there are no kernels for {str(dtype).removeprefix('torch.')} here"
    if bits not in loaded.bits:
        return f"no AVX-512 VBMI (of the processor, or the compiler), which codes of {bits} bits need"
    return None


def take_use() -> Built | None:
    """The compiled library, if `kernels` gave it to anybody since the last call: what a record names."""
    loaded = _load() if _load.cache_info().currsize else None
    if not isinstance(loaded, PackedKernels) or not loaded.used:
        return None
    loaded.used = False
    return loaded.built


def status() -> str:
    """One line for people: whether the kernels are in use, and why not."""
    why = obstacle()
    if why is not None:
        return f"C++ products of packed weights: not in use ({why}); dense weights are made instead"
    loaded = _load()
    assert isinstance(loaded, PackedKernels)
    unit = ", a matrix unit for many rows" if loaded.matrix_unit else ""
    bits = "4 and 8" if len(loaded.bits) == 2 else f"{loaded.bits[0]} to {loaded.bits[-1]}"
    return f"C++ products of packed weights: in use, AVX-512 VNNI for {bits} bits{unit}"
