"""A method that trains: its settings, and its hooks into the training loop."""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from ..contracts.context import Context
from ..contracts.method import Curves, Later, Method
from .callbacks import Callback
from .choice import train_best
from .data_order import TrainingData
from .groups import Group
from .loop import train
from .rest import Start, train_until_rest
from .result import TrainResult
from .settings import TrainSettings
from .step import Loss, LossNotFiniteError

Evaluate = Callable[[Any], Mapping[str, float]]
"""Scores of the models that are trained, which are in eval mode."""


def evaluate_both(first: Evaluate | None, second: Evaluate | None) -> Evaluate | None:
    """One function that gives the scores of both.

    Args:
        first: scores of the models, or None.
        second: the same; its scores win where names are equal.

    Returns:
        The one that is there where the other is None.
    """
    if first is None:
        return second
    if second is None:
        return first
    return lambda models: {**first(models), **second(models)}


@dataclass(frozen=True, kw_only=True)
class TrainedMethod(Method):
    """A method whose model is trained by the loop of `loop.py`."""

    learning_rate: float = 1e-3
    """Peak learning rate."""
    weight_decay: float = 1e-2
    """AdamW's decoupled decay, on tensors with two or more dimensions."""
    warmup: float = 0.1
    """Fraction of the steps in which the learning rate rises."""

    choose: Later[str] = ""
    """Option that the validation part chooses, one of `chosen_by_training`; empty: none."""
    among: Later[tuple[float, ...]] = ()
    """Its values: each trains from the same start, and the best one on the validation part stays (`choice.py`)."""

    chosen_by_training: ClassVar[tuple[str, ...]] = ("learning_rate", "weight_decay", "warmup")
    """Options with numbers of which `prepare` makes nothing, so that `fit` alone can choose one."""

    def choices(self) -> "Sequence[TrainedMethod]":
        """With each of the values.

        Raises:
            ValueError: an option that cannot be chosen, one without values, or values of none.
        """
        if bool(self.choose) != bool(self.among):
            raise ValueError(
                f"choose: {self.choose!r} and among: {list(self.among)} go together: an option, its values"
            )
        if not self.among:
            return ()
        if self.choose not in self.chosen_by_training:
            raise ValueError(f"choose: {self.choose!r} is none of {', '.join(self.chosen_by_training)}")
        return [replace(self, **{self.choose: value}, choose="", among=()) for value in self.among]

    def loss(self, model: nn.Module, batch: Any, context: Context) -> Tensor:
        """Training loss; override to add a balance or distillation term.

        Args:
            model: the model that trains.
            batch: as the task's loss takes it.
            context: the cell's context, with the task's `loss`.

        Returns:
            A scalar, the mean over the batch.
        """
        return context.loss(model, batch)

    def fit_best(self, model: nn.Module, data: Any, context: Context) -> Curves:
        """By the best of the candidates on the validation part, where there are some.

        Raises:
            NotApplicable: candidates, on a task without such a part.
        """
        candidates = self.choices()
        if not candidates:
            return self.fit(model, data, context)
        return train_best(self.choose, candidates, model, data, context)

    def callbacks(self, context: Context) -> tuple[Callback, ...]:
        """Hooks into the loop, in order; the default has none.

        Args:
            context: the cell's context.
        """
        return ()

    def fit(self, model: nn.Module, data: TrainingData, context: Context) -> Curves:
        """Train the parameters that require a gradient, for as long as the budget says.

        Args:
            model: what `prepare` returned; it is trained in place.
            data: the training part of the task.
            context: the cell's context.

        Returns:
            Curves of the losses and of what the budget watches.

        Raises:
            ValueError: a budget in tokens on a task that has none to count.
        """
        return self.train_stage(model, data, context).curves

    def train_stage(
        self,
        model: nn.Module,
        data: Any,
        context: Context,
        stage: str = "train",
        further: Sequence[Callback] = (),
    ) -> TrainResult:
        """As `fit`, with the costs, and with more hooks.

        Args:
            model: the model; it is trained in place.
            data: the training part of the task, or a stream of whole batches.
            context: the cell's context.
            stage: a name of its own for each training of a method that trains more than once.
            further: hooks in addition to those of `callbacks`.

        Returns:
            Curves and costs of the training.

        Raises:
            ValueError: a budget in tokens on a task that has none to count.
            FloatingPointError: a loss that is not finite; the text says whose it is.
        """
        if context.budget.tokens is not None and context.tokens is None:
            raise ValueError(f"the task {context.task!r} has no tokens to count: give the budget epochs or steps")
        try:
            return self.train_groups(
                model,
                data,
                lambda model, batch: self.loss(model, batch, context),
                [self.trained_group(model)],
                context,
                tokens=context.tokens,
                callbacks=(*self.callbacks(context), *further),
                stage=stage,
            )
        except LossNotFiniteError as error:
            raise self._whose(error, model, context) from error

    def _whose(self, error: LossNotFiniteError, model: nn.Module, context: Context) -> FloatingPointError:
        """The error with whose loss is not finite, that of the task or what this method makes of it."""
        if type(self).loss is TrainedMethod.loss:
            return error
        # The step was not taken, so that the model is the one whose loss it was.
        with torch.no_grad():
            values = [float(context.loss(model, batch)) for batch in error.batches]
        if not all(map(math.isfinite, values)):
            return FloatingPointError(f"{error.what}, and so is the task's own loss: lower the learning rate")
        own = ", ".join(f"{value:.3g}" for value in values)
        return FloatingPointError(
            f"{error.what}: the task's own loss is finite there ({own}), what {type(self).__name__} adds to it is not"
        )

    def trained_group(self, model: nn.Module) -> Group:
        """What `train_stage` trains of a model, and by which optimizer."""
        return Group.adamw("model", model, learning_rate=self.learning_rate, weight_decay=self.weight_decay)

    def train_groups(
        self,
        models: nn.Module | Mapping[str, nn.Module],
        data: object,
        loss: Loss,
        groups: Sequence[Group],
        context: Context,
        *,
        weight: Callable[[Any], float] | None = None,
        tokens: Callable[[Any], int] | None = None,
        callbacks: Sequence[Callback] = (),
        evaluate: Evaluate | None = None,
        stage: str = "train",
    ) -> TrainResult:
        """Train models with optimizers of one's own (a student's and a teacher's), or on a stream of whole batches.

        Budget, checkpoints and precision are those of `fit`. What the training took is noted in the cell's ledger.

        Args:
            models: one model, or several by name.
            data: map-style, or a stream of whole batches.
            loss: mean loss of (models, batch).
            groups: parameters and their optimizers.
            context: the cell's context.
            weight: over how many things the loss of a batch is a mean (`loop.train`).
            tokens: tokens of a batch.
            callbacks: hooks, in order; those of `self.callbacks` are not added.
            evaluate: scores of the models, in addition to what the context watches.
            stage: a name of its own for each training of a method that trains more than once.

        Returns:
            Curves and costs of the training; where the budget says `rest`, of the last one (`rest.py`).
        """
        settings = self.settings(context)
        if not hasattr(data, "train"):
            settings = replace(settings, batch_size=None)
        corpus = f"{context.suite}/{context.task}, seed {context.seed}, {context.budget.train_fraction} of its data"

        def once(settings: TrainSettings, stage: str) -> TrainResult:
            return train(
                models,
                data,
                loss,
                groups=groups,
                settings=settings,
                weight=weight,
                tokens=tokens,
                callbacks=callbacks,
                evaluate=evaluate_both(evaluate, context.watch),
                folder=context.folder,
                stage=stage,
                corpus=corpus,
            )

        if context.budget.rest is None:
            result = once(settings, stage)
        else:
            named = {"model": models} if isinstance(models, nn.Module) else models
            result = train_until_rest(once, settings, stage, Start(named, data, callbacks), context)
        for group in groups:
            context.ledger.count(parameter for parameter in group.members() if parameter.requires_grad)
        context.ledger.add(**result.taken())
        return result

    def settings(self, context: Context) -> TrainSettings:
        """The budget and the recipe as settings of the loop."""
        return TrainSettings(
            epochs=context.budget.epochs,
            steps=context.budget.steps,
            tokens=context.budget.tokens,
            batch_size=context.budget.batch_size,
            warmup=self.warmup,
            precision="bfloat16" if context.dtype is torch.bfloat16 else "float32",
            seed=context.task_generator("data-order").initial_seed(),
        )
