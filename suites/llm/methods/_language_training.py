"""Base of the methods that train a language model as LLaMA-MoE is trained: AdamW, a warm-up, a cosine, a clipped norm.

Each is a link of a chain, mostly after a conversion: `[{name: llama_moe_v1, config: {train: none}},
continual_pretraining]`. Data, loss and budget are the task's; what trains is the one option `train`.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any, Literal

import torch
from torch import Tensor, nn

from sparsebench.models.moe.hf_trainer.stock_balance import StockBalance
from sparsebench.models.moe.routing.statistics import aux_loss

from ...contracts.context import Context
from ...contracts.traits import CAUSAL
from ...methods.shared.tune import Tune
from ...training.callbacks import Callback
from ...training.groups import Group
from ...training.result import TrainResult
from ...training.settings import TrainSettings
from ...training.step import Loss
from ..training.curves import LossByTokens, validation_loss
from ..training.data import TextRows
from ..training.one_pass import OnePass, check_enough
from ..training.router_change import RouterChange
from ..training.task import TEXT_ROWS

SAVE_SECONDS = 180.0
"""Between two checkpoints, where a cell keeps any: of a model of 135 M parameters one has 1.6 GB."""


@dataclass(frozen=True, kw_only=True)
class LanguageTraining(Tune):
    """The training loop with the recipe as options; a mixture trains with the balance loss of its routers.

    Several processes (`torchrun`) each take batches of their own: with twice as many, half the `accumulation` or half
    the batch size gives the same steps.
    """

    betas: tuple[float, float] = (0.9, 0.95)
    """AdamW's decay of the means of the gradient and of its square."""
    clip: float | None = 1.0
    """Largest norm of the gradient; null does not clip."""
    accumulation: int = 1
    """Batches whose gradient is summed up before a step."""
    schedule: Literal["cosine", "constant"] = "cosine"
    """After the warm-up, the learning rate falls along a cosine to `lowest`, or stays."""
    lowest: float = 0.0
    """Fraction of the learning rate at which the cosine ends."""
    repeat: bool = False
    """Whether the data may come again where a budget in steps or tokens is more than one pass over them; if not, that
    is an error. A budget in epochs says itself how often they come."""
    eval_every: int | None = None
    """Steps between two measurements of the loss on held-out rows, and of what the routers do there: curves of the
    record; null takes none."""

    @property
    def needs(self) -> frozenset[str]:
        """Rows of text, and a model that writes: other tasks that train have other data and losses."""
        return super().needs | {CAUSAL, TEXT_ROWS}

    def __post_init__(self) -> None:
        if self.learning_rate <= 0:
            raise ValueError(f"learning_rate={self.learning_rate} must be above 0")
        for beta in self.betas:
            if not 0 <= beta < 1:
                raise ValueError(f"betas={self.betas} must lie from 0 to below 1")
        replace(TrainSettings(steps=1), **self.recipe())

    def recipe(self) -> dict[str, Any]:
        """The options that are settings of the loop."""
        return {
            "clip": self.clip,
            "accumulation": self.accumulation,
            "schedule": self.schedule,
            "lowest": self.lowest,
            "warmup": self.warmup,
            "eval_every": self.eval_every,
        }

    def settings(self, context: Context) -> TrainSettings:
        """The budget and the recipe."""
        return replace(super().settings(context), save_seconds=SAVE_SECONDS, **self.recipe())

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Curves of the routers, and losses over the tokens seen."""
        return (*super().callbacks(context), LossByTokens())

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """The task's loss and the balance loss of the routers: a converted model's, or a stock mixture's own."""
        with stock_balance_loss(model) as balance:
            loss = context.loss(model, batch)
        return loss + aux_loss(model) + balance().to(loss.device)

    def train_stage(
        self,
        model: nn.Module,
        data: TextRows,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """One training on all of the data, in the order of the task and the seed.

        Raises ValueError where the data end before the budget, unless `repeat`.
        """
        if not self.repeat:
            check_enough(data, context, self.accumulation)
            further = (*further, OnePass(context.budget))
        return self.train_on(data, model, data, context, stage, further)

    def train_on(
        self,
        order: Any,
        model: nn.Module,
        data: TextRows,
        context: Context,
        stage: str,
        further: Sequence[Callback] = (),
        *,
        loss: Loss | None = None,
        weight: Callable[[Any], float] | None = None,
    ) -> TrainResult:
        """One training on `order`, which is `data` itself or a stream of batches made of it.

        `loss`: of (model, batch), by default the method's; `weight`: over how much it is a mean, by default over tokens
        with a label.
        """
        evaluate = None
        if self.eval_every is not None:
            evaluate = validation_loss(data, context)
            further = (*further, RouterChange(data, context, self.eval_every))
        group = Group.adamw(
            "model", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay, betas=self.betas
        )
        return self.train_groups(
            model,
            order,
            loss or (lambda model, batch: self.loss(model, batch, context)),
            [group],
            context,
            weight=weight or data.weight,
            tokens=context.tokens,
            callbacks=(*self.callbacks(context), *further),
            evaluate=evaluate,
            stage=stage,
        )


@contextmanager
def stock_balance_loss(model: Any) -> Iterator[Callable[[], Tensor]]:
    """Attach the balance loss to one forward pass; its value, coefficient included, is then to be had.

    The model's own `router_aux_loss_coef` counts; 0 for any other model, and in evaluation. The value has no gradient:
    that comes by itself with the backward pass, scaled as the training loop says (`models.loss_scale.set_loss_scale`).

        with stock_balance_loss(model) as balance:
            loss = language_loss(model, batch)
        loss = loss + balance()
    """
    coefficient = getattr(model, "router_aux_loss_coef", 0.0)
    watch = StockBalance(model, coefficient) if coefficient and model.training else None
    try:
        yield lambda: _value(watch)
    finally:
        if watch is not None:
            watch.remove()


def _value(watch: StockBalance | None) -> Tensor:
    found = None if watch is None else watch.value()
    return torch.zeros(()) if found is None else found
