"""The parts of a training, and what happens at each turn of the loop."""

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch

from sparsebench.models.counting import counted_flops
from sparsebench.models.evaluation import evaluation_mode

from .callbacks import Callback, TrainingState, remembering
from .checkpoint import Checkpoints, check_plain, load_model_state, model_state
from .data_order import Drawn, Order, total_steps
from .groups import set_rates
from .machine.attribution import Attribution, stopwatch
from .optimizer import rate_factor
from .random_state import branch_random_states, random_states, set_random_states, undisturbed
from .result import TrainResult, peak_memory, thin
from .step import Stepper

KEPT = ("epoch", "step", "tokens", "batches", "loss", "losses", "scores", "curves", "seconds", "flops")
KEPT += ("model_seconds", "model_flops")
"""What of the state goes into a checkpoint."""


@dataclass(kw_only=True)
class Run:
    """A training as it runs; `train` in `loop.py` turns it."""

    stepper: Stepper
    state: TrainingState
    order: Order
    callbacks: Sequence[Callback]
    weight: Callable[[Any], float] | None
    tokens: Callable[[Any], int] | None
    evaluate: Callable[[Any], Mapping[str, float]] | None
    checkpoints: Checkpoints | None
    began: float = 0.0
    saved: float = 0.0
    """When the last checkpoint was written."""
    evaluated: int = -1
    """The step of the last evaluation."""
    last: Any = None
    """The last batch."""
    watch: Attribution | None = None
    """Who of several models takes how long."""

    def start(self) -> bool:
        """Get ready, or go to where training stopped; True where it had already ended."""
        for callback in self.callbacks:
            callback.on_start(self.state)
        ended = self._restore()
        self.watch = self._stopwatch()
        self.state.total = total_steps(self.stepper.settings, self.order)
        self.saved = perf_counter()
        self.began = self.saved - self.state.seconds
        self._set_rates()
        self._modes(training=not ended)
        return ended

    def over(self) -> bool:
        """Whether the last step has been taken."""
        settings = self.stepper.settings
        if settings.epochs is not None:
            return self.state.stop or self.state.epoch >= settings.epochs
        if settings.steps is not None:
            return self.state.stop or self.state.step >= settings.steps
        assert settings.tokens is not None
        return self.state.stop or self.state.tokens >= settings.tokens

    def step(self, drawn: Sequence[Drawn]) -> None:
        """One step of the optimizers, and what follows it."""
        state = self.state
        settings = self.stepper.settings
        batches = [one.batch for one in drawn]
        weights = [float(one.examples) for one in drawn]
        if self.weight is not None:
            weights = [float(self.weight(batch)) for batch in batches]
        tokens = 0
        if self.tokens is not None:
            tokens = sum(self.tokens(batch) for batch in batches)
        # Before the backward pass, in which each batch counts by its fraction of the total.
        total, all_tokens, count = self.stepper.processes.sum([sum(weights), tokens, len(batches)])
        with self._watching():
            mean = self.stepper.step(batches, weights, total, state.step)
        state.step += 1
        state.tokens += round(all_tokens)
        state.batches += round(count)
        state.loss = mean.pop("")
        state.losses = mean
        state.seconds = perf_counter() - self.began
        self.last = batches[-1]
        self._note({"train loss": state.loss, **{f"train {name}": value for name, value in mean.items()}})
        self._set_rates()
        if settings.eval_every is not None and state.step % settings.eval_every == 0:
            self._evaluate()
        for callback in self.callbacks:
            callback.on_step(state)
        self._save_if_due()

    def end_epoch(self) -> None:
        """After the last batch of an epoch.

        Raises:
            ValueError: the data gave no batch.
        """
        if self.state.batches == 0:
            raise ValueError(f"{type(self.state.data).__name__} gave no batch: there is nothing to train on")
        if self.stepper.settings.eval_every is None:
            self._evaluate()
        for callback in self.callbacks:
            callback.on_epoch(self.state)
        self.order.end_epoch()
        self.state.epoch += 1
        self._modes(training=True)

    def finish(self) -> None:
        """The last evaluation and checkpoint, and what a batch costs."""
        self._evaluate()
        for callback in self.callbacks:
            callback.on_end(self.state)
        self.state.seconds = perf_counter() - self.began
        self._count_flops()
        for group in self.stepper.groups:
            for parameter in group.members():
                parameter.grad = None
        self._share_buffers()
        self._save(end=True)
        self._modes(training=False)

    def result(self) -> TrainResult:
        """Curves and costs."""
        state = self.state
        curves: dict[str, list[tuple[float, float]]] = {}
        for name, points in state.curves.items():
            curves[name] = thin(points) if name.startswith("train ") else points
        return TrainResult(
            curves=curves,
            steps=state.step,
            epochs=state.epoch,
            tokens=None if self.tokens is None else state.tokens,
            seconds=state.seconds,
            flops=state.flops,
            peak_memory=peak_memory(self.stepper.processes.device),
            parameters={group.name: group.count() for group in self.stepper.groups},
            model_seconds=dict(state.model_seconds),
            model_flops=dict(state.model_flops),
        )

    def _stopwatch(self) -> Attribution | None:
        """Seconds by model, where there are several; goes on from those before a stop."""
        stepper = self.stepper
        if len(stepper.models) < 2:
            return None
        watch = stopwatch(stepper.models, stepper.groups, stepper.optimizers, stepper.processes.device)
        watch.taken.update(self.state.model_seconds)
        self.state.model_seconds = watch.taken
        return watch

    def _watching(self) -> AbstractContextManager[None]:
        return nullcontext() if self.watch is None else self.watch.watching()

    def _note(self, values: Mapping[str, float]) -> None:
        for name, value in values.items():
            self.state.curves.setdefault(name, []).append((float(self.state.step), float(value)))

    def _set_rates(self) -> None:
        """The learning rate of the next step."""
        settings = self.stepper.settings
        if settings.tokens is None:
            factor = rate_factor(settings, self.state.step, self.state.total)
        else:
            factor = rate_factor(settings, self.state.tokens, settings.tokens)
        set_rates(self.stepper.optimizers, factor)

    def _modes(self, training: bool) -> None:
        """A model of which something trains is in train mode while training runs, every other one in eval mode."""
        grouped = {id(parameter) for group in self.stepper.groups for parameter in group.members()}
        for model in self.stepper.models.values():
            trains = any(id(parameter) in grouped for parameter in model.parameters())
            model.train(training and trains)

    def _evaluate(self) -> None:
        """Scores of the models, once a step; neither modes nor random states change by it."""
        if self.evaluate is None or self.evaluated == self.state.step:
            return
        self.evaluated = self.state.step
        self._share_buffers()
        with evaluation_mode(*self.stepper.models.values()), undisturbed(), torch.no_grad():
            scores = dict(self.evaluate(self.stepper.given))
        self.state.scores = self.stepper.processes.from_main(scores)
        self._note(self.state.scores)

    def _count_flops(self) -> None:
        """Count the operations of the last batch; weights, buffers, data and random states stay as they are."""
        buffers = [buffer for model in self.stepper.models.values() for buffer in model.buffers()]
        before = [buffer.clone() for buffer in buffers]
        with undisturbed():
            if self.last is None:  # stopped between the last step and the end
                self.last = self._any_batch()
            with torch.enable_grad(), counted_flops() as reading:
                parts = Attribution(self.stepper.models, reading)
                with parts.watching():
                    self.stepper.losses(self.last)[""].backward()
        self.state.flops = self.state.batches * reading()
        if self.watch is not None:
            self.state.model_flops = {name: self.state.batches * round(taken) for name, taken in parts.taken.items()}
        for buffer, value in zip(buffers, before, strict=True):
            buffer.copy_(value)

    def _any_batch(self) -> Any:
        """The next batch, which the data then give again."""
        place = self.order.state_dict()
        count = self.stepper.settings.accumulation
        drawn = self.order.take(count)
        if not drawn:
            self.order.end_epoch()
            drawn = self.order.take(count)
        self.order.load_state_dict(place)
        return drawn[0].batch

    def _share_buffers(self) -> None:
        """Batch statistics are those that the main process saw."""
        for model in self.stepper.models.values():
            self.stepper.processes.share(model.buffers())

    def _save_if_due(self) -> None:
        settings = self.stepper.settings
        if self.checkpoints is None:
            return
        due = settings.save_every is not None and self.state.step % settings.save_every == 0
        if not due and settings.save_seconds is not None:
            late = perf_counter() - self.saved >= settings.save_seconds
            # Clocks differ, and all have to save at the same step: one process says for all.
            due = self.stepper.processes.from_main(late)
        if due:
            self._share_buffers()
            self._save(end=False)

    def _save(self, end: bool) -> None:
        if self.checkpoints is None:
            return
        state = self.state
        common = {
            "models": {name: model_state(model) for name, model in state.models.items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in state.optimizers.items()},
            "callbacks": [callback.state_dict() for callback in remembering(self.callbacks)],
            "counters": {name: getattr(state, name) for name in KEPT},
            "evaluated": self.evaluated,
            "ended": end,
        }
        # After the end, too: a stage that follows may go on with the same data.
        own = {
            "rank": self.stepper.processes.rank,
            "random": random_states(),
            "order": self.order.state_dict(),
        }
        for callback, kept in zip(remembering(self.callbacks), common["callbacks"], strict=True):
            check_plain(kept, type(callback).__name__)
        check_plain(own["order"], type(state.data).__name__)
        self.checkpoints.save(state.step, common, own, end)
        self.saved = perf_counter()

    def _restore(self) -> bool:
        """Read the newest checkpoint where there is one; True where training had ended."""
        loaded = None if self.checkpoints is None else self.checkpoints.load()
        if loaded is None:
            return False
        common, own = loaded
        for name, model in self.state.models.items():
            load_model_state(model, common["models"][name])
        for name, optimizer in self.state.optimizers.items():
            optimizer.load_state_dict(common["optimizers"][name])
        for callback, kept in zip(remembering(self.callbacks), common["callbacks"], strict=True):
            callback.load_state_dict(kept)
        for name, value in common["counters"].items():
            setattr(self.state, name, value)
        self.evaluated = common["evaluated"]
        self.order.load_state_dict(own["order"])
        set_random_states(own["random"])
        if own["rank"] != self.stepper.processes.rank:
            branch_random_states(self.stepper.processes.rank)
        return common["ended"]
