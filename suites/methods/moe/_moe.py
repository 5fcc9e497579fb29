"""What the dense to MoE methods have in common: conversion without training, and which backbones it can serve."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.method import Later, NotApplicable
from ...contracts.traits import CALIBRATION_DATA, EXPERTS, FFN
from ...training.callbacks import Callback
from ..shared._balance_bias import BalanceBias
from ..shared._tuned import TunedMethod
from ._calibration import calibration, split_seed
from ._common_router import with_common_router
from ._dense_ffns import check_has_neurons


@dataclass(frozen=True, kw_only=True)
class MoEMethod(TunedMethod):
    """Every FFN becomes a mixture of its own neurons."""

    routing: Later[Literal["own", "common", "random"]] = "own"
    """The paper's router, scale and balance, or those that are the same for every split (`_common_router.py`): a router
    that starts from a regression on what experts add, or, as a control, at random."""

    def __post_init__(self) -> None:
        self.conversion(0)

    @abstractmethod
    def moe_config(self, seed: int) -> MoEConfig:
        """The conversion. Raises `ModelError` for a config that cannot be."""

    def conversion(self, seed: int) -> MoEConfig:
        """What is carried out: `moe_config` under the router that `routing` names. Raises `ModelError`."""
        config = self.moe_config(seed)
        if self.routing == "own":
            return config
        return with_common_router(config, "regressed" if self.routing == "common" else "random")

    @property
    def needs(self) -> frozenset[str]:
        """A feed-forward layer to cut, and calibration data where the conversion looks at them."""
        looks = {CALIBRATION_DATA} if self.conversion(0).needs else set()
        return frozenset({FFN, *looks})

    @property
    def gives(self) -> frozenset[str]:
        """Experts."""
        return frozenset({EXPERTS})

    def transform(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Convert in place. Raises `NotApplicable` for a model that cannot be converted so."""
        check_has_neurons(backbone)
        config = self.conversion(split_seed(context))
        seen = calibration(backbone, context, gradients="gradients" in config.needs) if config.needs else None
        try:
            return convert(backbone, config, seen)
        except ModelError as error:
            if config.attn is None:
                raise
            raise NotApplicable(str(error)) from error  # the heads of this backbone cannot be shared out like that

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss and the balance loss of the routers."""
        return context.loss(model, batch) + aux_loss(model)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Routers that balance by a bias move it."""
        return (*super().callbacks(context), BalanceBias())


@dataclass(frozen=True, kw_only=True)
class BlockMoE(MoEMethod):
    """A mixture that is described by its blocks and what weighs the chosen ones."""

    num_experts: int = 8
    """Equal blocks of neurons, the always-on ones included."""
    top_k: int = 4
    """Routed experts per token."""
    score: Literal["topk_softmax", "softmax_topk", "none"] = "none"
    """Weights of the chosen experts; "none" weighs them equally."""
    scale: Literal["paper", "norm", "exact"] | float = "exact"
    """Factor of the routed output; "exact" gives each chosen expert a mean coefficient of 1."""
