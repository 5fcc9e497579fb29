"""DoRA: a low-rank update of the directions of a weight's rows, and their lengths."""

from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from ...anatomy import Site, has_linear_view, linear_view
from ...errors import ModelError
from ...sparsity.masked import MaskedLinear
from ..config import RankConfig
from ..initialisation import adapter_dtype, initialise
from ..layer import AdapterLayer
from ..named import NamedConfig

# Shapes: O outputs, I inputs, R rank.


@dataclass(frozen=True, kw_only=True)
class DoRAConfig(NamedConfig, RankConfig):
    """y = m * V x / |V| with V = W + (alpha / r) B A, row by row (Liu et al., arXiv 2402.09353).

    The lengths m start as those of the rows of W, so the model starts unchanged but for rounding. The gradient takes
    |V| for a constant (their section 4.3).

    Attributes:
        alpha: numerator of the scale; None means r.
        dropout: on the input of the update, in training.
    """

    alpha: float | None = None
    dropout: float = 0.0

    def around(self, site: Site, name: str, generator: torch.Generator) -> AdapterLayer:
        """The layer around a linear layer.

        Args:
            site: where the linear layer lies.
            name: its name in the model without wrappers.
            generator: draws what A starts from.

        Raises:
            ModelError: it is no linear layer.
        """
        if not has_linear_view(site.get()):
            raise ModelError(f"{name} is a {type(site.get()).__name__}: DoRA goes on linear layers")
        return DoRALayer(site.get(), self, generator)


class DoRALayer(AdapterLayer):
    """A linear layer with `lora_A` (r, in), `lora_B` (out, r) and `magnitude` (out,)."""

    linear = True

    def __init__(self, base_layer: nn.Module, config: DoRAConfig, generator: torch.Generator) -> None:
        super().__init__(base_layer)
        weight_OI = linear_view(base_layer).weight
        outputs, inputs = weight_OI.shape
        alpha = config.r if config.alpha is None else config.alpha
        self.scaling = alpha / config.r
        self.dropout = nn.Dropout(config.dropout)
        dtype = adapter_dtype(weight_OI)
        self.lora_A = MaskedLinear(inputs, config.r, bias=False, device=weight_OI.device, dtype=dtype)
        self.lora_B = MaskedLinear(config.r, outputs, bias=False, device=weight_OI.device, dtype=dtype)
        initialise(self.lora_A, self.lora_B, config.init, generator)
        self.magnitude = nn.Parameter(self._lengths(weight_OI.detach().to(dtype)))

    def adapted(self, x: Tensor) -> Tensor:
        """The output with directions and lengths of its own."""
        y = self.base_layer(x)
        view = linear_view(self.get_base_layer(), self.place)
        gain_O = self.magnitude / self._lengths(view.weight.to(x.dtype)).detach()
        low = self.dropout(x)
        plain = y if view.bias is None else y - view.bias
        if self.dropout.training and self.dropout.p:
            plain = F.linear(low, view.weight.to(low.dtype))
        update = self.lora_B(self.lora_A(low))
        return (y + ((gain_O - 1) * plain + gain_O * update * self.scaling)).to(y.dtype)

    def _lengths(self, weight_OI: Tensor) -> Tensor:
        """The lengths of the rows of W + s B A."""
        a_RI = self.lora_A.effective().detach().to(weight_OI.dtype)
        b_OR = self.lora_B.effective().detach().to(weight_OI.dtype)
        update_OI = F.linear(a_RI.t(), b_OR).t()
        return torch.linalg.norm(weight_OI + self.scaling * update_OI, dim=1)

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        """W <- m * V / |V|, in the precision of the adapter."""
        weight_OI = linear_view(base_layer, self.place).weight
        old_OI = weight_OI.to(adapter_dtype(weight_OI))
        update_OI = self.lora_B.effective() @ self.lora_A.effective()
        gain_O = self.magnitude / self._lengths(old_OI)
        weight_OI.copy_(gain_O[:, None] * (old_OI + self.scaling * update_OI))
