"""A changed model trains on for some tokens: what it lost by the change comes back in part."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, Literal

from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.quantisation import packed_weights
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import aux_loss
from sparsebench.models.moe.hf_trainer.loss_hook import add_balance_loss
from sparsebench.models.moe.routing.statistics import Routed

from ...contracts.context import Context, Target
from ...contracts.method import NotApplicable
from ...llm.language.task import next_token_loss
from ...methods.shared._balance_bias import BalanceBias
from ...training.callbacks import Callback, TrainingState
from ...training.data_order import FixedBatches
from ...training.groups import Group
from ...training.kept_zeros import KeptZeros
from ...training.loop import train
from ...training.settings import TrainSettings
from ...training.trainable import train_only
from .._dtypes import dtypes_of, restore_dtypes
from .._work import Say, Work

LENGTH = 512
BATCH = 2
"""Rows of a step."""
LINES = 10
"""Lines of progress of a training."""

Trains = Literal["all", "all_but_router", "router", "experts", "norms"]


@dataclass(frozen=True, kw_only=True)
class Heal:
    """Continued pre-training on calibration text, in float32, with the model's own balance loss; zeros stay.

    Attributes:
        tokens: so many; text that is shorter is read again.
        learning_rate: at its peak; AdamW, a tenth of the steps to rise, then a cosine. Short trainings of SmolLM2 did
            best with 3e-4.
        train: what trains.
    """

    tokens: int
    learning_rate: float = 3e-4
    train: Trains = "all"

    def __post_init__(self) -> None:
        if self.tokens < 1:
            raise ModelError(f"tokens={self.tokens} to heal on must be 1 or more")
        if not 0 < self.learning_rate < 1:
            raise ModelError(f"learning_rate={self.learning_rate} must lie in (0, 1)")

    def apply(self, work: Work) -> str:
        """Train in place."""
        if next(packed_weights(work.model), None) is not None:
            raise ModelError("quantised weights do not train: heal before the weights are rounded")
        rows = work.rows(LENGTH, self.tokens)
        batches = [{"input_ids": part, "labels": part} for part in rows.split(BATCH)]
        dtypes = dtypes_of(work.model)
        flags = {parameter: parameter.requires_grad for parameter in work.model.parameters()}
        context = Context(suite="llm", task="heal", seed=work.seed, target=Target("next-token", len(work.tokenizer)))
        try:
            train_only(work.model, self.train, context)
        except NotApplicable as error:
            raise ModelError(str(error)) from error
        with _stock_balance(work.model) as balanced:
            result = train(
                work.model,
                FixedBatches(batches),
                _loss,
                groups=[Group.adamw("model", work.model, learning_rate=self.learning_rate, weight_decay=0.01)],
                settings=TrainSettings(tokens=self.tokens, clip=1.0, warmup=0.1, seed=work.seed),
                tokens=lambda batch: batch["input_ids"].numel(),
                callbacks=[BalanceBias(), KeptZeros(), _Lines(work.say, self.tokens)],
            )
        restore_dtypes(work.model, dtypes)
        for parameter, flag in flags.items():
            parameter.requires_grad_(flag)
        losses = [value for _, value in result.curves["train loss"]]
        passes = (result.tokens or 0) / rows.numel()
        line = f"{result.tokens} tokens in {result.steps} steps, {passes:.1f} times the text; "
        line += f"loss {losses[0]:.3f} -> {losses[-1]:.3f} nats a token"
        return line if balanced else f"{line}; its mixtures have no balance loss"


def _loss(model: nn.Module, batch: Mapping[str, Any]) -> Tensor:
    """With the balance loss of our own layers; a stock mixture's trains along by itself (`_stock_balance`)."""
    return next_token_loss(model, batch) + aux_loss(model)


@contextmanager
def _stock_balance(model: nn.Module) -> Iterator[bool]:
    """For as long as it lasts, the balance loss of transformers' mixtures trains along.

    False where they have none, as those that balance by a bias.
    """
    ours = any(isinstance(module, Routed) for module in model.modules())
    if ours or not any(block.mlp is not None and block.mlp.experts for block in describe(model).blocks):
        yield True
        return
    try:
        handle = add_balance_loss(model)
    except ModelError:
        yield False
        return
    try:
        yield True
    finally:
        handle.remove()


class _Lines(Callback):
    """Says now and then how far the training is."""

    def __init__(self, say: Say, tokens: int) -> None:
        self.say = say
        self.every = max(1, tokens // LINES)
        self.tokens = tokens
        self.next = self.every

    def on_step(self, state: TrainingState) -> None:
        """After a step."""
        if state.tokens >= self.next:
            self.next += self.every
            self.say(f"  {state.tokens} of {self.tokens} tokens, loss {state.loss:.3f}")
