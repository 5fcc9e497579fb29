"""The Triton kernels: their results in its interpreter against float64, and what compiling them for a GPU gives.

Neither needs a device. `TRITON_INTERPRET` is read when Triton is imported, so that each is a process of its own:
`python -m tests.device.kernels interpret|compile` prints JSON.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.models.compression.quantisation.grid import Grid, round_to_nearest
from sparsebench.models.compression.quantisation.packed.kernels import _triton_packed
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor
from sparsebench.models.moe.experts import _tiles, _triton_products
from sparsebench.models.moe.experts.grouped_product import grouped_outer, grouped_product

CAPABILITIES = (80, 90)
NAMES = {torch.float32: "fp32", torch.float16: "fp16", torch.bfloat16: "bf16"}
GRIDS = {
    "2 bits": Grid(bits=2, group_size=32),
    "4 bits": Grid(bits=4, group_size=64),
    "4 bits, zero points": Grid(bits=4, group_size=32, symmetric=False),
    "8 bits": Grid(bits=8, group_size=None),
}
GROUPS = {"even": (70, 130, 64), "idle experts": (0, 5, 0, 81), "rows of nobody": (3, 0, 66), "one row": (0, 1)}
"""Rows of each expert in the checks; of "rows of nobody", nine more belong to none."""


def errors_of_kernels(device: str) -> Iterator[dict[str, Any]]:
    """The largest relative error (by norm) of each kernel and type against float64 on the CPU."""
    for dtype in NAMES:
        errors: dict[str, float] = {"product": 0.0, "product by transposed": 0.0, "outer": 0.0}
        for name, counts in GROUPS.items():
            for kernel, error in _errors(counts, 9 if name == "rows of nobody" else 0, dtype, device):
                errors[kernel] = max(errors[kernel], error)
        for kernel, error in errors.items():
            yield {"kernel": kernel, "type": _name(dtype), "error": error, "round-off": torch.finfo(dtype).eps / 2}
        for name, grid in GRIDS.items():
            error = _packed_error(grid, dtype, device)
            yield {
                "kernel": f"packed, {name}",
                "type": _name(dtype),
                "error": error,
                "round-off": torch.finfo(dtype).eps / 2,
            }


def _name(dtype: torch.dtype) -> str:
    return str(dtype).removeprefix("torch.")


def _widen_products() -> None:
    """Triton's interpreter multiplies the bits of bfloat16 as if they were integers: give it float32 instead."""
    from triton.runtime import interpreter

    plain = interpreter.InterpreterBuilder.create_dot

    def widened(handle: Any) -> Any:
        if handle.dtype.scalar != interpreter.tl.bfloat16:
            return handle
        data = interpreter._convert_float(handle.data, interpreter.tl.bfloat16, interpreter.tl.float32, None)
        return interpreter.TensorHandle(data.view("float32"), interpreter.tl.float32)

    def create_dot(self: Any, a: Any, b: Any, *others: Any) -> Any:
        return plain(self, widened(a), widened(b), *others)

    interpreter.InterpreterBuilder.create_dot = create_dot


def _errors(counts: tuple[int, ...], nobody: int, dtype: torch.dtype, device: str) -> Iterator[tuple[str, float]]:
    generator = torch.Generator().manual_seed(0)
    ends = torch.tensor(counts).cumsum(0).to(torch.int32)
    rows = torch.randn(sum(counts) + nobody, 72, generator=generator).to(dtype)
    grads = torch.randn(len(rows), 40, generator=generator).to(dtype)
    matrices = torch.randn(len(counts), 72, 40, generator=generator).to(dtype)
    turned = matrices.transpose(1, 2).contiguous().transpose(1, 2)
    there = [tensor.to(device) for tensor in (rows, grads, matrices, turned, ends)]
    exact = grouped_product(rows.double(), matrices.double(), ends)
    yield "product", _error(_triton_products.grouped_product(there[0], there[2], there[4]), exact)
    yield "product by transposed", _error(_triton_products.grouped_product(there[0], there[3], there[4]), exact)
    outer = grouped_outer(rows.double(), grads.double(), ends)
    yield "outer", _error(_triton_products.grouped_outer(there[0], there[1], there[4]), outer)


def _packed_error(grid: Grid, dtype: torch.dtype, device: str) -> float:
    """Of a few rows, against the product with the dense weight that the codes stand for."""
    generator = torch.Generator().manual_seed(0)
    packed = PackedTensor.of(round_to_nearest(torch.randn(70, 130, generator=generator).to(dtype), grid))
    x = torch.randn(19, 130, generator=generator).to(dtype)
    exact = x.double() @ packed.dense().double().T
    return _error(_triton_packed.linear(x.to(device), packed.map(lambda part: part.to(device)).codes), exact)


def _error(found: Tensor, exact: Tensor) -> float:
    return ((found.cpu().double() - exact).norm() / exact.norm()).item()


def compiled() -> Iterator[dict[str, Any]]:
    """Registers, spilled bytes and shared memory of each kernel, type and compute capability."""
    for capability in CAPABILITIES:
        for name, kernel, pointers, sizes in _kernels():
            for dtype, short in NAMES.items():
                found = _compile(kernel, pointers, sizes, short, capability)
                yield {"kernel": name, "type": _name(dtype), "sm": capability, **found}


def _kernels() -> Iterator[tuple[str, Any, set[str], dict[str, int]]]:
    """Name, kernel, which of its arguments are tensors of numbers, and its tile sizes."""
    yield (
        "product",
        _triton_products.product_kernel,
        {"rows", "matrices", "out"},
        {"tile_s": _tiles.TILE_S, "tile_o": _tiles.TILE_O, "tile_i": _tiles.TILE_I},
    )
    yield (
        "outer",
        _triton_products.outer_kernel,
        {"left", "right", "out"},
        {"tile_s": _tiles.TILE_I, "tile_o": _tiles.TILE_O, "tile_i": _tiles.TILE_S},
    )
    tiles = {"tile_r": _triton_packed.TILE_R, "tile_o": _triton_packed.TILE_O, "tile_i": _triton_packed.TILE_I}
    yield (
        "packed, 4 bits",
        _triton_packed.packed_kernel,
        {"x", "scale", "zero", "out"},
        {**tiles, "bits": 4, "middle": 8, "symmetric": True},
    )


def _compile(kernel: Any, pointers: set[str], sizes: dict[str, int], dtype: str, capability: int) -> dict[str, int]:
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    constants: dict[str, Any] = {**sizes, "precision": "ieee"}
    whole = {"ends", "tile_expert", "tile_row", "words"}
    unit = {"row_i", "matrix_i", "left_i", "right_o"}  # rows lie as they are stored, as in the models
    signature = {}
    attributes = {}
    for place, name in enumerate(kernel.arg_names):
        if name in constants:
            signature[name] = "constexpr"
        elif name in unit:
            signature[name] = "constexpr"
            constants[name] = 1
        elif name in pointers or name in whole:
            signature[name] = f"*{dtype}" if name in pointers else "*i32"
            attributes[place,] = [["tt.divisibility", 16]]
        else:
            signature[name] = "i32"
            attributes[place,] = [["tt.divisibility", 16]]
    source = ASTSource(fn=kernel, signature=signature, constexprs=constants, attrs=attributes)
    made = triton.compile(source, target=GPUTarget("cuda", capability, 32), options={"num_warps": _tiles.WARPS})
    return {**_assembled(made.asm["ptx"]), "shared bytes": made.metadata.shared}


def _assembled(ptx: str) -> dict[str, int]:
    """What the assembler says of a kernel."""
    import triton

    assembler = Path(triton.__file__).parent / "backends" / "nvidia" / "bin" / "ptxas"
    architecture = re.search(r"\.target (sm_\w+)", ptx)
    assert architecture is not None
    with tempfile.TemporaryDirectory() as folder:
        source = Path(folder) / "kernel.ptx"
        source.write_text(ptx, encoding="utf-8")
        command = [str(assembler), "-v", f"--gpu-name={architecture[1]}", str(source), "-o", os.devnull]
        said = subprocess.run(command, capture_output=True, text=True, check=True).stderr
    registers = re.search(r"Used (\d+) registers", said)
    spilled = re.findall(r"(\d+) bytes spill (?:stores|loads)", said)
    assert registers is not None and spilled, said
    return {"registers": int(registers[1]), "spilled bytes": sum(map(int, spilled))}


def measured(what: str) -> list[dict[str, Any]]:
    """Run this file for one of the two, in a process of its own."""
    environment = {**os.environ, "TRITON_INTERPRET": "1" if what == "interpret" else "0", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-m", "tests.device.kernels", what]
    done = subprocess.run(command, env=environment, capture_output=True, text=True)
    if done.returncode:
        raise RuntimeError(f"the kernels: {done.stderr.strip().splitlines()[-1]}")
    return json.loads(done.stdout)


if __name__ == "__main__":
    if sys.argv[1] == "interpret":
        _widen_products()
        rows = list(errors_of_kernels("cpu"))
    else:
        rows = list(compiled())
    sys.stdout.write(json.dumps(rows))
