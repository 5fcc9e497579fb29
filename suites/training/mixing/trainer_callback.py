"""Mixtures of data sets whose weights move, under transformers' `Trainer`; needs nothing of the runner.

mixing = strategy("gate_load", ["code", "law", "math"])
arguments = TrainingArguments(..., max_steps=2000, train_sampling_strategy="sequential")
trainer = Trainer(
    model, arguments, data_collator=collate, train_dataset=mixture_dataset(rows, mixing, arguments, seed=0)
)
trainer.add_callback(DataMixingCallback(trainer, mixing, held_out, interval=100))
trainer.train()  # later: trainer.train(resume_from_checkpoint=True)
"""

from collections.abc import Mapping, Sequence
from time import process_time
from typing import Any

import torch
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures import Signal, Strategy
from sparsebench.data.mixtures.dataset import MixtureDataset

from ..processes import Processes
from .held_out import HeldOut, check_readable, measure
from .updates import mixture_cv2

KEY = "sparsebench data mixing"
"""Under which the trainer's state, and with it each checkpoint, holds strategy and weights."""
LEAD = 5
"""Batches of a process that a loader has at hand, at most, with 0 to 2 workers of 2 batches each: the trainer takes one
batch ahead. Weights take effect so many steps later, which lie behind these batches however many make a step: neither
loaders, nor processes, nor the accumulation of gradients change the draws."""
IGNORED = -100


def draws_per_step(arguments: TrainingArguments) -> int:
    """Rows of all processes in a step."""
    return arguments.train_batch_size * arguments.gradient_accumulation_steps * arguments.world_size


def mixture_dataset(
    rows: Mapping[str, Sequence[object]], mixing: Strategy, arguments: TrainingArguments, *, seed: int
) -> MixtureDataset:
    """The training data: rows by data set, drawn in the fractions of `mixing`, as many as the trainer takes.

    Raises MixtureError without `max_steps`: a mixture has no epochs.
    """
    if arguments.max_steps < 1:
        raise MixtureError("a mixture has no epochs: say max_steps in the TrainingArguments")
    length = arguments.max_steps * draws_per_step(arguments)
    return MixtureDataset(rows, mixing.weights, length=length, seed=seed)


class DataMixingCallback(TrainerCallback):
    """Every `interval` steps, `mixing` sees held-out rows of each data set and moves the weights of the mixture.

    `held_out`: rows by data set, which the trainer's collator makes batches of `per_device_eval_batch_size` of; each
    batch needs `labels` where the strategy looks at losses. Loads are those of all processes, of converted and stock
    mixtures; padding does not count. New weights decide from `lead` steps later on, by default behind what loaders with
    up to two workers have read ahead (5 steps), so that the draws depend neither on their number, nor on how the rows
    of a step are split over processes and micro-batches.

    `Trainer.log` gets `mixing_weight/<set>`, `mixing_loss/<set>`, `mixing_delta/<set>`, `mixing_cv2`, and the CPU time
    of updates as a fraction of the training's, `mixing_overhead`.

    The trainer's state carries strategy and weights into each checkpoint: a training that is killed and resumed draws
    what it would have drawn. When training starts, raises MixtureError for a loader that does not read in order, for a
    data set that is no mixture or another one, for a data set without held-out rows, and `ModelError` for gate loads
    of a model without experts.
    """

    def __init__(
        self,
        trainer: Any,
        mixing: Strategy,
        held_out: Mapping[str, Sequence[Any]],
        *,
        interval: int = 100,
        lead: int | None = None,
    ) -> None:
        if interval < 1:
            raise MixtureError(f"interval={interval} must be 1 or more steps")
        missing = [name for name in mixing.names if not held_out.get(name)]
        if missing:
            raise MixtureError(f"the data set {missing[0]!r} has no held-out row, by which the strategy could see it")
        self.trainer = trainer
        self.mixing = mixing
        self.held_out = {name: held_out[name] for name in mixing.names}
        self.interval = interval
        self.lead = lead
        self._updates = 0.0
        self._began = 0.0
        self._read: HeldOut | None = None

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Check what can be checked; of a resumed training, take up strategy and weights."""
        dataset = self._dataset(args)
        check_readable(kwargs["model"], self.mixing.needs)
        kept = state.stateful_callbacks.get(KEY)  # type: ignore[union-attr]
        if kept is not None and state.global_step:
            self.mixing.load_state_dict(kept["strategy"])
            dataset.load_state_dict(kept["draws"])
        elif self.mixing.at_start:
            dataset.set_weights(self.mixing.update(self._measured(kwargs["model"], args, 0)), 0)
        self._began = process_time()
        self._updates = 0.0
        self._keep(state, dataset)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Move the weights, if their time has come."""
        dataset = self._dataset(args)
        due = state.global_step % self.interval == 0
        if due or self.mixing.every == "step":
            began = process_time()
            signal = self._measured(kwargs["model"], args, state.global_step)
            weights = self.mixing.update(signal)
            from_draw = (state.global_step + self._lead(args)) * draws_per_step(args)
            if from_draw < len(dataset):
                dataset.set_weights(weights, from_draw)
            self._updates += process_time() - began
            if due:
                self.trainer.log(self._lines(signal))
        self._keep(state, dataset)

    def _measured(self, model: Any, args: TrainingArguments, steps: int) -> Signal:
        return measure(model, self._held_out(args), self.mixing.needs, Processes(args.device), steps)

    def _held_out(self, args: TrainingArguments) -> HeldOut:
        """The held-out rows as batches, made once."""
        if self._read is not None:
            return self._read
        size = args.eval_batch_size
        batches: dict[str, list[Any]] = {}
        for name, rows in self.held_out.items():
            batches[name] = []
            for start in range(0, len(rows), size):
                end = min(start + size, len(rows))
                batch = self.trainer.data_collator([rows[place] for place in range(start, end)])
                batches[name].append({key: value.to(args.device) for key, value in batch.items()})
        dtype = torch.bfloat16 if args.bf16 else torch.float32
        self._read = HeldOut(batches=batches, loss=_loss, weight=_labels, forward=_forward, dtype=dtype)
        return self._read

    def _lead(self, args: TrainingArguments) -> int:
        """Steps after which new weights decide."""
        if self.lead is not None:
            return self.lead
        ahead = 1 + args.dataloader_num_workers * (args.dataloader_prefetch_factor or 2)
        return max(LEAD, ahead)

    def _dataset(self, args: TrainingArguments) -> MixtureDataset:
        dataset = self.trainer.train_dataset
        if not isinstance(dataset, MixtureDataset) or dataset.draws.names != self.mixing.names:
            raise MixtureError(f"the trainer's data are not a mixture of {', '.join(self.mixing.names)}")
        if args.train_sampling_strategy != "sequential":
            raise MixtureError(
                'draws come in an order of their own: say train_sampling_strategy="sequential" in the TrainingArguments'
            )
        return dataset

    def _keep(self, state: TrainerState, dataset: MixtureDataset) -> None:
        state.stateful_callbacks[KEY] = {  # type: ignore[index]
            "strategy": self.mixing.state_dict(),
            "draws": dataset.state_dict(),
        }

    def _lines(self, signal: Signal) -> dict[str, float]:
        lines = {f"mixing_weight/{name}": weight for name, weight in self.mixing.weights.items()}
        for name, loss in (signal.losses or {}).items():
            lines[f"mixing_loss/{name}"] = loss
        for name, delta in self.mixing.rounds[-1].get("deltas", {}).items():
            lines[f"mixing_delta/{name}"] = delta
        if signal.loads is not None:
            lines["mixing_cv2"] = mixture_cv2(list(signal.loads.values()))
        lines["mixing_overhead"] = self._updates / max(process_time() - self._began, 1e-9)
        return lines


def _loss(model: Any, batch: Mapping[str, object]) -> Any:
    """Of the tokens alone: a stock mixture adds its balance loss where it gives the logits of its routers, too."""
    config = getattr(getattr(model, "module", model), "config", None)
    if getattr(config, "output_router_logits", False):
        batch = {**batch, "output_router_logits": False}
    return model(**batch)["loss"]


def _labels(batch: Mapping[str, Any]) -> float:
    """Tokens with a label, but for the first of each row, which a causal language model does not predict."""
    return float(batch["labels"][..., 1:].ne(IGNORED).sum())


def _forward(model: Any, batch: Mapping[str, object]) -> Any:
    return model(**{name: value for name, value in batch.items() if name != "labels"})
