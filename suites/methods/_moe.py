"""What the dense to MoE methods have in common: conversion without training, and calibration shared by cells."""

import hashlib
from abc import abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, cast

import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import UnknownAnatomy, describe
from sparsebench.models.calibration.ffn_samples import Calibration, calibrate
from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt import TokenBatch
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion import convert
from sparsebench.models.moe.routing.statistics import aux_loss

from ..contracts.context import Context
from ..contracts.method import Curves, NotApplicable
from ..contracts.traits import Backbone, TaskTraits
from ..prediction.task import PredictionData, Predictor
from ..training.loop import TrainedMethod, TrainingData
from .linear_probe import LinearProbe

WITHOUT_FFN = {
    "cnn": "a convolutional network has no feed-forward layer to cut",
    "graph": "the MLPs of a graph network hold batch norms and cannot be cut",
    "fingerprint": "a fingerprint has no feed-forward layer to cut",
}
"""Reasons by the family of the backbone."""

_calibrations: dict[str, Calibration] = {}
"""The last calibration of this process, by the hash of weights and data: cells of one row and seed share it. Just one,
since one of a language model takes up to 1 GB."""


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


def split_seed(context: Context) -> int:
    """The seed of the conversion: that of the cell, the same for every method."""
    return int(torch.randint(2**31 - 1, (), generator=context.generator("neuron-split")))


def only_head_trains(model: nn.Module, context: Context) -> nn.Module:
    """The model, frozen but for its head in a prediction task; a language model as it is."""
    if not context.target.generates:
        model.requires_grad_(False)
        head = describe(model).head
        assert head is not None, "a predictor has a head"
        head.get().requires_grad_(True)
    return model


def fit_head(model: nn.Module, data: Any, context: Context) -> Curves:
    """Solve the head of a prediction task as `linear_probe` does; a language model stays as it is."""
    if context.target.generates:
        return {}
    return LinearProbe().fit(cast(Predictor, model), cast(PredictionData, data), context)


def check_has_ffn(model: nn.Module) -> None:
    """Raise `NotApplicable` for a model whose anatomy is unknown, or that has no feed-forward layer to cut."""
    try:
        blocks = describe(model).blocks
    except UnknownAnatomy as error:
        raise NotApplicable(str(error)) from error
    if not any(block.mlp is not None and block.mlp.kind != "conv" for block in blocks):
        raise NotApplicable(f"{type(model).__name__} has no feed-forward layer to cut")


def calibration(model: nn.Module, context: Context, *, gradients: bool) -> Calibration:
    """Samples of every FFN on the calibration data; taken once per process for equal weights and data.

    Gradients are those of the next token's loss for a language model, else of the task's own loss.
    """
    batches = list(context.batches())
    key = f"{_fingerprint(model, batches)} {gradients}"
    if key not in _calibrations:
        _calibrations.clear()
        _calibrations[key] = _calibrate(model, batches, context, gradients)
    return _calibrations[key]


def _calibrate(model: nn.Module, batches: list[Any], context: Context, gradients: bool) -> Calibration:
    inputs = [context.inputs(batch) for batch in batches]
    if not gradients or context.target.kind == "next-token":
        return calibrate(model, inputs, gradients=gradients)
    whole = {id(part): batch for part, batch in zip(inputs, batches, strict=True)}

    def loss(output: Any, part: Any) -> Tensor:
        """The task's mean loss on outputs that are there already, summed over the examples."""
        examples = len(output) if isinstance(output, Tensor) else len(part)
        return context.loss(cast(nn.Module, lambda *_, **__: output), whole[id(part)]) * examples

    return calibrate(model, inputs, gradients=True, loss=loss)


def _fingerprint(model: nn.Module, batches: list[Any]) -> str:
    content = hashlib.sha256()
    for tensor in [*model.state_dict().values(), *_tensors(batches)]:
        content.update(f"{tensor.dtype} {tuple(tensor.shape)}".encode())
        content.update(tensor.detach().cpu().contiguous().flatten().view(torch.uint8).numpy())
    return content.hexdigest()


def _tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, dict):
        yield from _tensors(list(value.values()))
    elif isinstance(value, TokenBatch):
        yield from vars(value).values()
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _tensors(item)
