"""SSF: a scale and a shift of every feature after every linear layer, convolution and norm."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ...anatomy import Anatomy, Site, has_linear_view, linear_view
from ...errors import check_choice
from ..config import AdapterConfig
from ..initialisation import adapter_dtype
from ..layer import AdapterLayer
from ..sites import backbone_sites, check_no_fused_experts, is_norm
from .parameter_tuning import Reparametrised, check_untuned

Start = Literal["identity", "normal"]


@dataclass(frozen=True, kw_only=True)
class SSFConfig(AdapterConfig):
    """y = scale * f(x) + shift, channel by channel, for every linear layer, convolution and norm f.

    Lian et al., arXiv 2210.08823. It equals f with weight scale * W and bias scale * b + shift, which `merge` writes.
    It acts before an activation that the norm applies itself, and a norm without bias (RMS) gets a scale only. With
    `blocks` "all" the whole model but its head takes part, else everything from the first of these blocks on.

    Attributes:
        init: "identity" is scale 1 and shift 0; "normal" is that of the released code, N(1, 0.02^2) and N(0, 0.02^2),
            which changes the model at once.
        experts: experts that are stacked in one tensor have no place for it: a mixture is refused unless False excludes
            them.
    """

    init: Start = "identity"
    experts: bool = True

    former_defaults = MappingProxyType({"experts": False})

    def __post_init__(self) -> None:
        super().__post_init__()
        check_choice("init", self.init, get_args(Start))

    def place(self, anatomy: Anatomy, generator: torch.Generator) -> Iterator[tuple[Site, AdapterLayer]]:
        """A wrapper around each of these modules."""
        if self.experts:
            check_no_fused_experts(self.chosen(anatomy), "SSF")
        for site in backbone_sites(anatomy, self):
            module = site.get()
            norm = is_norm(module)
            if norm or has_linear_view(module) or isinstance(module, nn.Conv2d):
                check_untuned(anatomy.model, site)
                yield site, self._wrap(module, norm, generator)

    def _wrap(self, module: Any, norm: bool, generator: torch.Generator) -> AdapterLayer:
        like: Tensor = module.weight
        outputs = len(linear_view(module).weight) if has_linear_view(module) else len(like)
        noise = torch.zeros(2, outputs)
        if self.init == "normal":
            noise.normal_(0, 0.02, generator=generator)
        noise = noise.to(like.device, adapter_dtype(like))
        scale = nn.Parameter(1 + noise[0])
        shift = nn.Parameter(noise[1].clone())
        if not norm:
            return SSFLayer(module, scale, shift)
        if module._parameters.get("bias") is None:
            return SSFNorm(module, scale, None, offset=_offset(module))
        return SSFNorm(module, scale, shift)


@torch.no_grad()
def _offset(norm: nn.Module) -> float:
    """What an RMS norm of transformers adds to its weight before it multiplies by it: 1 in Gemma, elsewhere 0."""
    if "RMSNorm" not in type(norm).__name__:
        return 0.0
    weight = norm.weight
    assert isinstance(weight, Tensor)
    # Nothing but the offset is left of the output where the weight is 0; on the CPU, as the norm may lie nowhere yet.
    x = torch.ones(1, *weight.shape)
    y = torch.func.functional_call(norm, {"weight": torch.zeros(weight.shape)}, (x,))
    return float(y.abs().max() > 0)


class SSFLayer(AdapterLayer):
    """scale * base_layer(x) + shift for a linear layer (last dimension) or a convolution (dimension 1)."""

    linear = True

    def __init__(self, base_layer: nn.Module, scale: nn.Parameter, shift: nn.Parameter) -> None:
        super().__init__(base_layer)
        self.scale = scale
        self.shift = shift
        self.trailing = (1, 1) if isinstance(base_layer, nn.Conv2d) else ()

    def adapted(self, x: Tensor) -> Tensor:
        """The scaled and shifted output of `base_layer`."""
        y = self.base_layer(x)
        scale = self.scale.to(y.dtype).view(-1, *self.trailing)
        shift = self.shift.to(y.dtype).view(-1, *self.trailing)
        return torch.addcmul(shift, y, scale)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """Scale the weight and bias of `base_layer`, which gets a bias if it has none."""
        weight = linear_view(base_layer).weight if has_linear_view(base_layer) else base_layer.weight
        bias = base_layer.bias
        assert isinstance(weight, Tensor)
        per_output = (-1,) + (1,) * (weight.ndim - 1)
        weight.copy_(weight * self.scale.view(per_output))
        if isinstance(bias, Tensor):
            bias.copy_(bias * self.scale + self.shift)
        else:
            base_layer.bias = nn.Parameter(self.shift.to(weight.dtype, copy=True), requires_grad=False)


class SSFNorm(Reparametrised):
    """A norm whose weight and bias are scaled and shifted: that of its output, before an activation of its own.

    `offset` is what the norm adds to its weight.
    """

    def __init__(
        self, base_layer: nn.Module, scale: nn.Parameter, shift: nn.Parameter | None, *, offset: float = 0.0
    ) -> None:
        super().__init__(base_layer)
        self.offset = offset
        self.scale = scale
        self.shift = shift

    def changed(self, values: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """The scaled weight, and bias if there is one."""
        weight = values["weight"]
        if self.offset:
            changed = {"weight": (weight + self.offset) * self.scale - self.offset}
        else:
            changed = {"weight": weight * self.scale}
        if self.shift is not None:
            changed["bias"] = values["bias"] * self.scale + self.shift
        return changed
