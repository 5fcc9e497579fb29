"""LoRA on the experts: low-rank updates of every expert's matrices, after a conversion or in a stock mixture

Hu et al. (arXiv 2106.09685) with a pair of factors for each expert, as PEFT's `target_parameters` has it. A link after
a conversion, `[llama_moe_v1, expert_lora]`: LLaMA-MoE's LoRA row and CMoE's short tuning (arXiv 2502.04416) are this.
"""

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterConfig, LoRAConfig
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.traits import BLOCKS, EXPERTS
from ...training.callbacks import Callback
from ...training.trainable import trained_parameters
from ..shared._balance_bias import BalanceBias
from ._adapters import AdapterMethod


@dataclass(frozen=True, kw_only=True)
class ExpertLoRA(AdapterMethod):
    """Rank-`rank` updates of all matrices of the experts in the last blocks."""

    rank: int = 8
    """Rank of each expert's update."""
    alpha: float | None = None
    """Scale of the update times the rank; None means a scale of 1."""
    targets: tuple[str, ...] = ("experts",)
    """What gets one: "experts", or of their matrices "down" alone; "q", "k", "v", "o" of the attention, too;
    "linears": everything, shared experts included."""
    init: Literal["normal", "zero_up"] = "zero_up"
    """The paper's start, B = 0."""
    router: bool = False
    """Train the routers too, whole and with their balance loss."""

    acts_on: ClassVar[tuple[str, ...]] = (BLOCKS, EXPERTS)

    def config(self, backbone: nn.Module, **common: Any) -> AdapterConfig:
        """The updates."""
        return LoRAConfig(r=self.rank, alpha=self.alpha, targets=self.targets, init=self.init, **common)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """The frozen backbone with the updates, and routers with a gradient, in float32, where they train."""
        model = super().prepare(backbone, context)
        if self.router:
            for parameter in trained_parameters(model, "router"):
                parameter.data = parameter.data.to(torch.promote_types(parameter.dtype, torch.float32))
                parameter.requires_grad_(True)
        return model

    def deploy(self, model: nn.Module) -> nn.Module:
        """With routers in the precision of the experts again: those of stock mixtures want that of their input."""
        if self.router:
            dtype = trained_parameters(model, "experts")[0].dtype
            for parameter in trained_parameters(model, "router"):
                parameter.data = parameter.data.to(dtype)
        return model

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss; where the routers train, their balance loss too."""
        loss = context.loss(model, batch)
        return loss + aux_loss(model) if self.router else loss

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Routers that train and balance by a bias move it."""
        own = (BalanceBias(),) if self.router else ()
        return (*super().callbacks(context), *own)
