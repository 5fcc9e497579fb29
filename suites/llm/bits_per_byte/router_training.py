"""A short training that is the same for every row, to see whether routers learn: for claims about frozen routers."""

from dataclasses import replace
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.models.moe.routing.statistics import Routed, aux_loss
from sparsebench.reports.records.record import Metric

from ...contracts.context import Context
from ...contracts.method import NotApplicable
from ...contracts.metrics import Scores
from ...methods.shared._balance_bias import BalanceBias
from ...training.data_order import FixedBatches
from ...training.groups import Group
from ...training.loop import train
from ...training.result import TrainResult
from ...training.settings import TrainSettings
from ..language.task import CausalLM
from .domains import DomainsTask

LEARNING_RATE = 1e-3
CHANGE = "router_change"


class RouterTrainingTask(DomainsTask):
    """Train everything on the calibration windows, then score as a `DomainsTask`.

    `budget.epochs` passes of AdamW (constant rate 1e-3, no decay, clipped to norm 1) in float32, next-token loss plus
    the model's own balance loss. `router_change` is the norm of what the routers moved over the norm they had.
    """

    metric_names = (CHANGE, *DomainsTask.metric_names)

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Train, then score. Raises `NotApplicable` for a model without routers."""
        routers = router_parameters(subject.model)
        if not routers:
            raise NotApplicable("the model has no router")
        subject.model.float()
        start = [parameter.detach().clone() for parameter in routers]
        result = train_all(subject.model, context)
        context.ledger.count(subject.model.parameters())
        context.ledger.add(**result.taken())
        moved = _norm([now.detach() - then for now, then in zip(routers, start, strict=True)])
        change = Metric(value=moved / _norm(start), higher_is_better=True, unit="")
        scored = super().evaluate(subject, replace(context, dtype=torch.float32))
        return Scores(CHANGE, {CHANGE: change, **scored.metrics}, scored.examples, scored.details)


def router_parameters(model: nn.Module) -> list[nn.Parameter]:
    """Parameters of all routers, but for those of their noise, which is off in evaluation."""
    found: list[nn.Parameter] = []
    for module in model.modules():
        if isinstance(module, Routed):
            router: Any = module.router
            found += [parameter for name, parameter in router.named_parameters() if name != "noise"]
    return found


def train_all(model: nn.Module, context: Context) -> TrainResult:
    """Train everything on the calibration batches, in their order; the model is left in eval mode."""
    model.requires_grad_(True)
    everything = Group(
        name="model",
        parameters=list(model.parameters()),
        learning_rate=LEARNING_RATE,
        optimizer=partial(torch.optim.AdamW, weight_decay=0.0),
    )
    with torch.enable_grad():
        return train(
            model,
            FixedBatches(context.batches()),
            lambda model, batch: context.loss(model, batch) + aux_loss(model),
            groups=[everything],
            settings=TrainSettings(
                epochs=context.budget.epochs,
                steps=context.budget.steps,
                tokens=context.budget.tokens,
                clip=1.0,
                schedule="constant",
            ),
            callbacks=[BalanceBias()],
            tokens=context.tokens,
            folder=context.folder,
            stage="router training",
        )


def _norm(tensors: list[Tensor]) -> float:
    return float(torch.stack([tensor.double().norm() for tensor in tensors]).norm())
