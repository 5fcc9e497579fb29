"""What the tests of this folder ask of a model: outputs, hashes of its parts, and a dense twin of a quantised one; and
packed weights alone."""

import hashlib
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation.grid import Grid, round_to_nearest
from sparsebench.models.compression.quantisation.packed.kernels.products import dense_products
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor
from sparsebench.models.compression.quantisation.transform import dequantise

from ..slimming import mixtures
from ..slimming.mixtures import batches, mixture

GRIDS = [Grid(bits=4, group_size=3), Grid(bits=3, group_size=4, symmetric=False), Grid(bits=8, group_size=None)]


def stack(grid: Grid, *, transposed: bool = False) -> tuple[PackedTensor, Tensor]:
    """Three matrices (6, 5), packed, and dense."""
    weight = torch.randn(3, 6, 5, generator=torch.Generator().manual_seed(0))
    quantised = round_to_nearest(weight, grid)
    dense = quantised.dense()
    if transposed:
        dense = dense.mT
    return PackedTensor.of(quantised, transposed=transposed), dense


def output(model: nn.Module, batch: Any) -> Tensor:
    """What a model makes of a batch, by the dense weights that packed ones stand for."""
    with dense_products():
        return mixtures.output(model, batch)


def dense_twin(model: nn.Module, name: str) -> nn.Module:
    """Another model of the same kind with the dense weights of a quantised one."""
    twin = mixture(name)
    state: dict[str, Any] = {}
    for path, value in model.state_dict().items():
        state[path] = value + 0 if value.is_floating_point() else value
    twin.load_state_dict(state)
    assert dequantise(twin) == 0
    return twin


def doubled(name: str) -> tuple[Any, list[Any]]:
    """A mixture in float64, for which transformers has its slow experts only, and its batches."""
    model: Any = mixture(name).double()
    if hasattr(model, "set_experts_implementation"):
        model.set_experts_implementation("eager")
    data = [batch.double() if isinstance(batch, Tensor) else batch for batch in batches(name)]
    return model, data


def fingerprints(model: nn.Module) -> dict[str, str]:
    """A hash of each parameter and buffer."""
    found = {}
    for path, value in model.state_dict().items():
        bytes_ = (value + 0).detach().contiguous().view(torch.uint8).numpy().tobytes()
        found[path] = hashlib.sha256(bytes_).hexdigest()
    return found


def routers(model: nn.Module) -> list[Tensor]:
    """All parameters of all routers, copied."""
    found = []
    for block in describe(model).blocks:
        if block.mlp is not None and block.mlp.experts is not None:
            found += [value.detach().clone() for value in block.mlp.experts.router.get().parameters()]
    return found
