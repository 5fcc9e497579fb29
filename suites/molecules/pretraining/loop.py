"""The loop of pre-training: one process or many, stops and goes on."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

import torch
from accelerate import Accelerator
from accelerate.utils import DistributedDataParallelKwargs

from sparsebench.models.graphsgpt import GraphsGPT

from ...training.optimizer import parameter_groups, warmup_cosine
from .batches import Batches


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
    word_dropout: float = 0.3
    grow: float = 0.4
    save_every: int = 500
    log_every: int = 50
    seed: int = 0


def pretrain(model: GraphsGPT, batches: Batches, settings: Settings, folder: Path) -> tuple[GraphsGPT, float]:
    """The trained model, and the seconds spent in the loop, those before a stop included. Computes in bfloat16.

    `folder/state.pt` holds the state every `save_every` steps; where it lies, training goes on from there, and gives
    what it would have given without the stop (up to the rounding of kernels). Start it by `torchrun` for more than one
    process.
    """
    handler = DistributedDataParallelKwargs(find_unused_parameters=True)  # steps without conditions leave some unused
    accelerator = Accelerator(cpu=not torch.cuda.is_available(), kwargs_handlers=[handler])
    model = model.to(accelerator.device).train()
    optimizers = _optimizers(model, settings)
    first, before = _resume(folder / "state.pt", model, optimizers)
    wrapped = accelerator.prepare(model)
    progress = _Progress(settings, first, accelerator)
    start = perf_counter()
    for step in range(first, settings.steps):
        loss = _step(accelerator, wrapped, optimizers, batches, settings, step)
        progress.show(step, loss)
        if (step + 1) % settings.save_every == 0 and accelerator.is_main_process:
            _save(folder / "state.pt", model, optimizers, step + 1, before + perf_counter() - start)
    accelerator.wait_for_everyone()
    return model.eval(), before + perf_counter() - start


Optimizers = tuple[torch.optim.Optimizer, torch.optim.Optimizer]


def _optimizers(model: GraphsGPT, settings: Settings) -> Optimizers:
    """Muon for the matrices of the layers, AdamW for embeddings, norms, codes and heads."""
    layers = [*model.encoder.layers.parameters(), *model.decoder.layers.parameters()]
    matrices = [weight for weight in layers if weight.ndim == 2]
    known = {id(weight) for weight in matrices}
    others = []
    for group in parameter_groups(model, settings.weight_decay):
        weights = [weight for weight in group["params"] if id(weight) not in known]
        others.append(group | {"params": weights})
    muon = torch.optim.Muon(matrices, lr=1.0, weight_decay=settings.weight_decay, adjust_lr_fn="match_rms_adamw")
    return muon, torch.optim.AdamW(others, lr=1.0, betas=(0.9, 0.95))


def _step(
    accelerator: Accelerator, model: Any, optimizers: Optimizers, batches: Batches, settings: Settings, step: int
) -> torch.Tensor:
    part = warmup_cosine(step, settings.steps, settings.warmup)
    for optimizer, rate in zip(optimizers, (settings.matrix_rate, settings.learning_rate), strict=True):
        optimizer.zero_grad(set_to_none=True)
        for group in optimizer.param_groups:
            group["lr"] = rate * part
    device = accelerator.device
    seen = batches.step(step, accelerator.process_index, accelerator.num_processes)
    source = None if seen.source is None else seen.source.to(device)
    wanted = None if seen.wanted is None else seen.wanted.to(device)
    with torch.autocast(device.type, torch.bfloat16):
        loss = model(seen.batch.to(device), num_words=seen.num_words, source=source, wanted=wanted).loss
    accelerator.backward(loss)
    accelerator.clip_grad_norm_(model.parameters(), settings.clip)
    for optimizer in optimizers:
        optimizer.step()
    if not torch.isfinite(loss):
        raise FloatingPointError(f"the loss is {loss.item()} at step {step}: lower the learning rate")
    return loss.detach()


def _resume(file: Path, model: GraphsGPT, optimizers: Optimizers) -> tuple[int, float]:
    """The step to go on from, and the seconds already spent."""
    if not file.exists():
        return 0, 0.0
    state = torch.load(file, map_location="cpu", weights_only=True)
    model.load_state_dict(state["model"])
    for optimizer, saved in zip(optimizers, state["optimizers"], strict=True):
        optimizer.load_state_dict(saved)
    return state["step"], state["seconds"]


def _save(file: Path, model: GraphsGPT, optimizers: Optimizers, step: int, seconds: float) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    partial = file.with_suffix(".partial")
    states = [optimizer.state_dict() for optimizer in optimizers]
    torch.save({"model": model.state_dict(), "optimizers": states, "step": step, "seconds": seconds}, partial)
    partial.rename(file)


class _Progress:
    """Lines on the terminal of the main process: mean loss since the last line, speed and what is left."""

    def __init__(self, settings: Settings, first: int, accelerator: Accelerator) -> None:
        self.settings = settings
        self.first = first
        self.show_lines = accelerator.is_main_process
        self.start = perf_counter()
        self.losses: list[torch.Tensor] = []

    def show(self, step: int, loss: torch.Tensor) -> None:
        self.losses.append(loss)
        done = step + 1
        total = self.settings.steps
        if not self.show_lines or (done % self.settings.log_every and done != total):
            return
        rate = (done - self.first) / (perf_counter() - self.start)
        mean = torch.stack(self.losses).mean().item()
        self.losses.clear()
        left = (total - done) / rate / 60
        sys.stdout.write(f"step {done}/{total}  loss {mean:.4f}  {rate:.2f} steps/s  {left:.0f} min left\n")
        sys.stdout.flush()
