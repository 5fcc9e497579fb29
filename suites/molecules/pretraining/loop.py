"""The pre-training of GraphsGPT: one process or many, stops and goes on."""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from math import ceil
from pathlib import Path
from typing import Any, NamedTuple

import torch
from accelerate import PartialState

from sparsebench.models.graphsgpt import GraphsGPT

from ...training.callbacks import Callback, Progress, TrainingState
from ...training.groups import Group
from ...training.loop import train
from ...training.optimizer import parameter_groups
from ...training.settings import TrainSettings
from .batches import Batches, Step
from .clock import ProcessSeconds
from .curve import Curve, Distance, Measure

STAGE = "training"


@dataclass(frozen=True, kw_only=True)
class Settings:
    """How to train. `batch_size` molecules for each process and step.

    The matrices of the layers learn by Muon (`matrix_rate`), all else by AdamW (`learning_rate`): in 400 steps on MOSES
    this came as far as AdamW alone in over 1,000.
    """

    steps: int
    batch_size: int = 64
    learning_rate: float = 3e-3
    matrix_rate: float = 1e-2
    weight_decay: float = 0.01
    warmup: float = 0.02
    clip: float = 1.0
    condition_fraction: float = 0.3
    free_fraction: float = 0.0
    word_dropout: float = 0.3
    grow: float = 0.4
    save_every: int = 500
    """Steps; a checkpoint is also written every minute."""
    log_every: int = 50
    points: int = 0
    """At how many even points of the training a learning curve is measured; 0: none."""
    seed: int = 0


class Pretrained(NamedTuple):
    """A trained model, and what that took, the time before a stop included.

    `seconds` in the loop by the clock, measuring and waiting too; `core_seconds` of CPU in all processes, measuring
    left out: those of the main process, times the number of processes, which do the same.
    """

    model: GraphsGPT
    seconds: float
    core_seconds: float


def pretrain(
    model: GraphsGPT, batches: Batches, settings: Settings, folder: Path, validation: Sequence[str] = ()
) -> Pretrained:
    """Train in bfloat16.

    `folder/training` holds checkpoints; where they lie, training goes on from there, and gives what it would have given
    without the stop. Start it by `torchrun` for more than one process. With `settings.points` the curve of `Measure` on
    the molecules `validation` goes into `folder/curve.json`. Raises `OtherTrainingError` where the checkpoints belong
    to other molecules or settings.
    """
    processes = PartialState(cpu=not torch.cuda.is_available())
    device: Any = processes.device
    model.to(device)
    stream = Steps(batches, processes.process_index, processes.num_processes)
    groups = _groups(model, settings)
    main = processes.is_main_process
    clock = ProcessSeconds()
    callbacks = [OlderState(folder / "state.pt"), clock, Progress(settings.log_every, show=main)]
    if settings.points:
        callbacks.append(Curve(folder, clock, processes.num_processes, settings.batch_size, main))

    def loss(model: Any, step: Step) -> torch.Tensor:
        source = None if step.source is None else step.source.to(device)
        wanted = None if step.wanted is None else step.wanted.to(device)
        return model(step.batch.to(device), num_words=step.num_words, source=source, wanted=wanted).loss

    result = train(
        model,
        stream,
        loss,
        groups=groups,
        settings=TrainSettings(
            steps=settings.steps,
            warmup=settings.warmup,
            clip=settings.clip,
            precision="bfloat16",
            save_every=settings.save_every,
            eval_every=ceil(settings.steps / settings.points) if settings.points else None,
        ),
        callbacks=callbacks,
        evaluate=Measure(validation, Distance(), clock, main) if settings.points else None,
        folder=folder,
        stage=STAGE,
    )
    return Pretrained(model, result.seconds, clock.seconds * processes.num_processes)


def _groups(model: GraphsGPT, settings: Settings) -> list[Group]:
    """Muon for the matrices of the layers, AdamW for embeddings, norms, codes and heads."""
    layers = [*model.encoder.layers.parameters(), *model.decoder.layers.parameters()]
    matrices = [weight for weight in layers if weight.ndim == 2]
    known = {id(weight) for weight in matrices}
    others = []
    for group in parameter_groups(model, settings.weight_decay):
        weights = [weight for weight in group["params"] if id(weight) not in known]
        others.append(group | {"params": weights})
    muon = partial(torch.optim.Muon, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw")
    adamw = partial(torch.optim.AdamW, betas=(0.9, 0.95))
    return [
        Group(name="matrices", parameters=matrices, learning_rate=settings.matrix_rate, optimizer=muon),
        Group(name="others", parameters=others, learning_rate=settings.learning_rate, optimizer=adamw),
    ]


class Steps:
    """The steps of `Batches` as a stream; each process has its own."""

    per_process = True

    def __init__(self, batches: Batches, rank: int, processes: int) -> None:
        self.batches = batches
        self.rank = rank
        self.processes = processes
        self.next = 0

    def __iter__(self) -> Iterator[Step]:
        while True:
            step = self.batches.step(self.next, self.rank, self.processes)
            self.next += 1
            yield step

    def state_dict(self) -> dict[str, int]:
        """The number of the next step."""
        return {"next": self.next}

    def load_state_dict(self, state: dict[str, int]) -> None:
        """Go on with that step."""
        self.next = state["next"]

    def fingerprint(self) -> str:
        """Which molecules these are, and what is made of them."""
        batches = self.batches
        free = f"nothing asked in {batches.free_fraction}, " if batches.free_fraction else ""
        more = "" if batches.more is None else f"in {batches.more_fraction} of the others {batches.more.source}, "
        return (
            f"molecules {batches.corpus.source}, {len(batches.corpus.scaffolds)} conditions, "
            f"batches of {batches.batch_size}, conditions in {batches.condition_fraction}, {free}{more}"
            f"{batches.num_words} words, fewer in {batches.word_dropout}, grow {batches.grow}, seed {batches.seed}"
        )


class OlderState(Callback):
    """Goes on from the `state.pt` that the first version of the pre-training wrote, where there is nothing newer."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def on_start(self, state: TrainingState) -> None:
        """Take up models, optimizers and the number of the step."""
        if not self.file.exists():
            return
        saved = torch.load(self.file, map_location="cpu", weights_only=True)
        state.models["model"].load_state_dict(saved["model"])
        for optimizer, kept in zip(state.optimizers.values(), saved["optimizers"], strict=True):
            peaks = [part["peak_lr"] for part in optimizer.param_groups]
            optimizer.load_state_dict(kept)
            for part, peak in zip(optimizer.param_groups, peaks, strict=True):
                part["peak_lr"] = peak
        state.step = state.data.next = saved["step"]
        state.batches = state.step * state.data.processes
        state.seconds = saved["seconds"]
        sys.stdout.write(f"{self.file}: the state of step {state.step}, written by an older version\n")
