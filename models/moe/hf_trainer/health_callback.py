"""What the routers of a mixture do while transformers' `Trainer` trains it."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any, Literal, get_args

import torch
from torch import Tensor, distributed
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ...errors import ModelError, check_choice
from ..routing.health import load_cv2
from ..routing.probe import RoutingProbe, routing_probe

Detail = Literal["model", "layers", "experts"]


class RouterHealthCallback(TrainerCallback):
    """Logs how evenly the routers spread the real tokens of the training batches of all processes.

    A line through `Trainer.log` after each line with the training loss, over the steps since the one before:

    - `router_cv2`: CV^2 of the load (0: even; N: one expert has all of N), mean over layers;
    - `router_worst`: load of the fullest expert over the mean load (1: even), of the worst layer;
    - `router_dead`: experts that no token chose, all layers together.

    `detail`: "layers" adds the three of each layer, as `router_cv2/<layer>`; "experts" also the load of each expert, as
    `router_load/<layer>/<expert>`, the fraction of the layer's choices. `every`: only each so many steps are watched,
    from the first on; a watched step takes a copy of the choices of each layer to the CPU. Padding, evaluation and
    passes that recompute activations do not count. Works for converted models and stock mixtures, sharded ones too.

    When training starts, a `ModelError` is raised for a model without a mixture.

    Example::

        trainer = Trainer(model, arguments, train_dataset=rows)
        trainer.add_callback(RouterHealthCallback(trainer))
        trainer.train()
        [line["router_cv2"] for line in trainer.state.log_history if "router_cv2" in line]
    """

    def __init__(self, trainer: Any, *, detail: Detail = "model", every: int = 1) -> None:
        check_choice("detail", detail, get_args(Detail))
        if every < 1:
            raise ModelError(f"every={every} must be 1 or more steps")
        self.trainer = trainer
        self.detail: Detail = detail
        self.every = every
        self._open = ExitStack()
        self._probe: RoutingProbe | None = None
        self._seen: dict[str, Tensor] = {}

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Forget what a training that broke off had seen."""
        self._close()
        self._seen = {}
        # Complains now, not in the first step.
        with routing_probe(kwargs["model"]):
            pass

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Watch this step, if it is its turn."""
        self._close()
        if state.global_step % self.every == 0:
            probe = routing_probe(kwargs["model"], logits=False, training_only=True)
            self._probe = self._open.enter_context(probe)

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Add up what the step's micro-batches did."""
        if self._probe is None:
            return
        for layer, picks_N in self._probe.picks.items():
            if layer in self._seen:
                picks_N = picks_N + self._seen[layer]
            self._seen[layer] = picks_N
        self._close()

    def on_log(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """After the training loss, log what was seen since the last time."""
        if "loss" not in kwargs["logs"] or not self._seen:
            return
        picks = _of_all_processes(self._seen, args.device)
        self._seen = {}
        self.trainer.log(router_lines(picks, self.detail))

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Leave the model as it was."""
        self._close()

    def _close(self) -> None:
        self._open.close()
        self._probe = None


def router_lines(picks: Mapping[str, Tensor], detail: Detail) -> dict[str, float]:
    """What is logged of the picks (N,) of each layer."""
    cv2 = {layer: load_cv2(picks_N) for layer, picks_N in picks.items()}
    worst = {layer: float(picks_N.max() / picks_N.mean().clamp_min(1e-10)) for layer, picks_N in picks.items()}
    dead = {layer: int((picks_N == 0).sum()) for layer, picks_N in picks.items()}
    lines = {
        "router_cv2": sum(cv2.values()) / len(cv2),
        "router_worst": max(worst.values()),
        "router_dead": sum(dead.values()),
    }
    if detail == "model":
        return lines
    for layer, picks_N in picks.items():
        lines[f"router_cv2/{layer}"] = cv2[layer]
        lines[f"router_worst/{layer}"] = worst[layer]
        lines[f"router_dead/{layer}"] = dead[layer]
        if detail == "experts":
            for expert, load in enumerate((picks_N / picks_N.sum().clamp_min(1)).tolist()):
                lines[f"router_load/{layer}/{expert}"] = load
    return lines


def _of_all_processes(picks: Mapping[str, Tensor], device: torch.device) -> dict[str, Tensor]:
    if not (distributed.is_available() and distributed.is_initialized()):
        return dict(picks)
    total = torch.cat(list(picks.values())).to(device)
    distributed.all_reduce(total)
    parts = total.cpu().split([len(picks_N) for picks_N in picks.values()])
    return dict(zip(picks, parts, strict=True))
