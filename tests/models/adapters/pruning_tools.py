"""A loss, calibration data, and sets made of bare modules."""

from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.adapters.adapter_set import AdapterSet
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.sparsity.masked import Masked, MaskedLinear

LORA = LoRAConfig(r=4, init="normal")


def loss(model: nn.Module, batch: Tensor) -> Tensor:
    result = model(batch)
    logits = result if isinstance(result, Tensor) else result.logits
    return nn.functional.cross_entropy(logits.flatten(0, -2), torch.zeros(logits.flatten(0, -2).shape[0]).long())


def evidence(adapters: AdapterSet, example: Callable) -> dict:
    batches = [example(adapters.model, seed) for seed in range(2)]
    return {"batches": batches, "loss_fn": loss, "generator": torch.Generator().manual_seed(0)}


class Pairs(nn.Module):
    """An MLP of `down` and `up` with a possible norm before them and a function between them."""

    def __init__(
        self, width: int, r: int, *, bias: bool = True, norm: bool = False, act: Any = None, out: int = 0
    ) -> None:
        super().__init__()
        self.norm = nn.LayerNorm(width) if norm else nn.Identity()
        self.down, self.up = MaskedLinear(width, r, bias=bias), MaskedLinear(r, out or width, bias=bias)
        self.activation = act or nn.ReLU()
        generator = torch.Generator().manual_seed(width + r)
        for parameter in [*self.down.parameters(), *self.up.parameters()]:
            parameter.data.normal_(0, 0.3, generator=generator)

    def forward(self, x: Tensor) -> Tensor:
        return self.up(self.activation(self.down(self.norm(x))))


class BareSet:
    """What pruning needs of an `AdapterSet`, for modules that lie in no model."""

    config = "a bare set"

    def __init__(self, *modules: nn.Module) -> None:
        self.model = nn.Sequential(*modules)

    def layers(self) -> Iterator[tuple[str, nn.Module]]:
        return iter(())

    def modules(self) -> dict[str, nn.Module]:
        return dict(self.model.named_children())

    def prunable(self) -> dict[str, Masked]:
        return {name: layer for name, layer in self.model.named_modules() if isinstance(layer, Masked)}


def masks(adapters: AdapterSet | BareSet) -> list[Tensor]:
    return [layer.mask for layer in adapters.prunable().values()]
