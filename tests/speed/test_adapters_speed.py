"""A LoRA layer's training step in comparison with the plain linear layer and HF PEFT's; and what a mask costs."""

import importlib.util
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.kinds.lora import LoRAConfig, LoRALayer

from .groups import Timed, Variant, of_model
from .scope import FULL

WIDTH, RANK, ALPHA = 768, 8, 16
ROLES = {
    "sparsebench": "ours",
    "sparsebench, half pruned": "ours",
    "peft": "peer",  # adapters in the dtype of the layer
    "peft, defaults": "peer",  # adapters in float32
    "linear": "floor",
}
# (variant, dtype) of the default run; in float32 PEFT's two settings are one
CELLS = [
    (name, dtype)
    for name in ROLES
    for dtype in (torch.float32, torch.bfloat16)
    if FULL or (name != "sparsebench, half pruned" and (name, dtype) != ("peft, defaults", torch.float32))
]


def lora(base: nn.Linear) -> LoRALayer:
    config = LoRAConfig(r=RANK, alpha=ALPHA, init="normal")
    return LoRALayer(base, [(0, base.out_features)], config, torch.Generator().manual_seed(0))


def peft_layer(base: nn.Linear, ours: LoRALayer, *, defaults: bool) -> nn.Module:
    peft = pytest.importorskip("peft")
    config = peft.LoraConfig(r=RANK, lora_alpha=ALPHA, target_modules=["0"])
    layer = peft.get_peft_model(nn.Sequential(base), config, autocast_adapter_dtype=defaults).base_model.model[0]
    with torch.no_grad():
        layer.lora_A["default"].weight.copy_(ours.lora_A[0].weight)
        layer.lora_B["default"].weight.copy_(ours.lora_B[0].weight)
    return layer


def make(name: str, dtype: torch.dtype) -> nn.Module:
    base = nn.Linear(WIDTH, WIDTH).to(dtype).requires_grad_(False)
    if name == "linear":
        return base
    layer = lora(base)
    if name.startswith("peft"):
        return peft_layer(base, layer, defaults="defaults" in name)
    if name == "sparsebench, half pruned":
        for module in (layer.lora_A[0], layer.lora_B[0]):
            module.prune(torch.rand(module.weight.shape, generator=torch.Generator().manual_seed(1)) < 0.5)
    return layer


def reference(layer: nn.Module, x: Tensor) -> Tensor:
    """W x + b + (alpha / r) B A x in float64."""
    if isinstance(layer, nn.Linear):
        return nn.functional.linear(x.double(), layer.weight.double(), layer.bias.double())
    if isinstance(layer, LoRALayer):
        base, down, up = layer.base_layer, layer.lora_A[0].effective(), layer.lora_B[0].effective()
    else:
        base, down, up = layer.base_layer, layer.lora_A["default"].weight, layer.lora_B["default"].weight
    weight = base.weight.double() + ALPHA / RANK * up.double() @ down.double()
    return nn.functional.linear(x.double(), weight, base.bias.double())


@pytest.mark.parametrize(("name", "dtype"), CELLS)
@pytest.mark.parametrize("rows", [16, 197, 1576] if FULL else [197])
def test_lora_step(name: str, rows: int, dtype: torch.dtype, compare: Callable[..., Timed]) -> None:
    """Forward and backward; the input needs a gradient, as in the middle of a network."""
    group = f"LoRA forward and backward, {rows} rows, {str(dtype).removeprefix('torch.')}"
    names = [other for other, narrow in CELLS if narrow == dtype]
    compare(name, names, lambda name: step(name, rows, dtype), group=group)


def step(name: str, rows: int, dtype: torch.dtype) -> Variant:
    if name.startswith("peft") and importlib.util.find_spec("peft") is None:
        pytest.skip("peft is not installed")
    layer = make(name, dtype)
    x = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0)).to(dtype).requires_grad_()
    upstream = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(1)).to(dtype)
    trained = [x, *(parameter for parameter in layer.parameters() if parameter.requires_grad)]
    error = (layer(x).double() - reference(layer, x)).norm() / reference(layer, x).norm()
    assert error.item() < (1e-5 if dtype == torch.float32 else 1e-2)
    shape = {"width": WIDTH, "rank": RANK}
    return of_model(lambda: torch.autograd.grad(layer(x), trained, upstream), ROLES[name], layer, x, shape=shape)
