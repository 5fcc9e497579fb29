"""Attention experts: each token uses some groups of attention heads; the FFN stays dense

LLaMA-MoE v2's attention MoE (arXiv 2411.15708), where a token leaves keys and values only in the groups it is routed
to, and the variant that keeps them all, as MoH does (arXiv 2410.11842). Random routers, no training.
"""

from dataclasses import dataclass
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.attention.convert_attention import convert_attention
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.traits import ATTENTION, CAUSAL, EXPERTS
from ..shared._tuned import TunedMethod
from ._calibration import split_seed


@dataclass(frozen=True, kw_only=True)
class MoEAttention(TunedMethod):
    """`top_k` of `num_experts` groups of heads per token; each chosen group has mean coefficient 1."""

    num_experts: int = 4
    """Groups of query heads; a divisor of their number."""
    top_k: int = 3
    """Groups per token."""
    mode: Literal["drop_kv", "keep_kv"] = "drop_kv"
    """Whether a group holds keys and values of its own tokens only, or of all."""

    def __post_init__(self) -> None:
        self._config()

    @property
    def needs(self) -> frozenset[str]:
        """Head groups of causal decoders only."""
        return frozenset({ATTENTION, CAUSAL})

    @property
    def gives(self) -> frozenset[str]:
        """Experts."""
        return frozenset({EXPERTS})

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss and the balance loss of the routers."""
        return context.loss(model, batch) + aux_loss(model)

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Convert the attention of every block in place. Raises `NotApplicable` for one that cannot be cut so."""
        try:
            return convert_attention(backbone, self._config(), torch.Generator().manual_seed(split_seed(context)))
        except ModelError as error:
            raise NotApplicable(str(error)) from error

    def _config(self) -> AttnMoEConfig:
        return AttnMoEConfig(num_experts=self.num_experts, top_k=self.top_k, mode=self.mode)
