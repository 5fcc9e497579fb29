"""What the dense to MoE methods have in common: conversion without training, and which backbones it can serve."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion import convert
from sparsebench.models.moe.routing.statistics import aux_loss

from ..contracts.context import Context
from ..contracts.method import Curves, NotApplicable
from ..contracts.traits import Backbone, TaskTraits
from ..training.data_order import TrainingData
from ..training.method import TrainedMethod
from ._calibration import calibration, split_seed
from ._trainable import fit_head, only_head_trains

WITHOUT_FFN = {
    "cnn": "a convolutional network has no feed-forward layer to cut",
    "graph": "the MLPs of a graph network hold batch norms and cannot be cut",
    "fingerprint": "a fingerprint has no feed-forward layer to cut",
}
"""Reasons by the family of the backbone."""


@dataclass(frozen=True, kw_only=True)
class MoEMethod(TrainedMethod):
    """Every FFN becomes a mixture of its own neurons; a language model stays as it was converted."""

    train: Literal["head", "all"] = "head"
    """What a prediction task trains: the head, as `linear_probe` finds it, or everything, as `full_tuning` does."""

    def __post_init__(self) -> None:
        self.moe_config(0)

    @abstractmethod
    def moe_config(self, seed: int) -> MoEConfig:
        """The conversion. Raises `ModelError` for a config that cannot be."""

    def unsupported(self, task: type[TaskTraits], backbone: Backbone) -> str | None:
        """Backbones without a transformer's feed-forward layer have nothing to cut."""
        return WITHOUT_FFN.get(backbone.family)

    def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
        """Convert in place; in a prediction task, leave what trains trainable."""
        check_has_ffn(backbone)
        config = self.moe_config(split_seed(context))
        seen = calibration(backbone, context, gradients="gradients" in config.needs) if config.needs else None
        try:
            model = convert(backbone, config, seen)
        except ModelError as error:
            if config.attn is None:
                raise
            raise NotApplicable(str(error)) from error  # the heads of this backbone cannot be shared out like that
        return only_head_trains(model, context) if self.train == "head" else model.requires_grad_(True)

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss and the balance loss of the routers."""
        return context.loss(model, batch) + aux_loss(model)

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train in a task that trains; a language model stays as it was converted."""
        if self.train == "all" and context.target.kind != "next-token" and data is not None:
            return super().fit(model, data, context)
        return fit_head(model, data, context)


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


def check_has_ffn(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model whose anatomy is unknown, or that has no feed-forward layer to cut."""
    try:
        blocks = describe(model).blocks
    except UnknownAnatomy as error:
        raise NotApplicable(str(error)) from error
    if not any(block.mlp is not None and block.mlp.kind != "conv" for block in blocks):
        raise NotApplicable(f"{type(model).__name__} has no feed-forward layer to cut")
