"""What the routers of a model do while it trains, as curves; the training itself is not touched."""

import warnings
from collections.abc import Mapping
from contextlib import ExitStack
from typing import Any

from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.routing.agreement import NoiseCount, noise_watch
from sparsebench.models.moe.routing.health import LayerHealth, load_cv2
from sparsebench.models.moe.routing.probe import RoutingProbe, has_mixture, routing_probe
from sparsebench.models.moe.routing.statistics import aux_loss
from sparsebench.reports.routers.health import BALANCE, CLEAN, CV2, LayerNumbers, RouterHealth, to_details

from .callbacks import Callback, TrainingState
from .processes import Processes

OCTAVE = 16
"""Steps that are watched between one power of two and the next."""


class RouterWatch(Callback):
    """Curves of the routers of one model that trains; none of a model without a mixture of experts.

    "router cv2" is the squared coefficient of variation of the load, the mean over layers: 0 when all experts of a
    layer get as many tokens, N when one of N gets all. It counts the real tokens of all batches of a step, in all
    processes. "router balance loss" is the sum of the layers' balance losses on the last batch, coefficients included,
    where there is one that can train anything; the mean over processes. "router agreement with the clean choice" is the
    fraction of the choices that would be the same without noise (`noise_watch`), of routers that draw some: K / N where
    the noise alone decides.

    Watched are the first `2 * OCTAVE - 1` steps, and `OCTAVE` in each doubling of the steps after that: 111 of 1,000.
    The hooks of a watched step read and count; they draw no random number and change no tensor. A mixture that cannot
    be watched gives a warning, which the record keeps, and no curve.
    """

    def __init__(self, name: str = "model") -> None:
        self.name = name
        self._on = False
        self._stack = ExitStack()
        self._probe: RoutingProbe | None = None
        self._noise = NoiseCount()

    def on_start(self, state: TrainingState) -> None:
        """Watch the first step."""
        self._on = has_mixture(state.models[self.name])
        self._open(state)

    def on_step(self, state: TrainingState) -> None:
        """Note what a watched step did; watch the next one, if its turn has come."""
        if self._probe is not None:
            self._note(state, self._probe)
            self._close()
        if is_watched(state.step + 1):
            self._open(state)

    def on_end(self, state: TrainingState) -> None:
        """Take the hooks off the model."""
        self._close()

    def state_dict(self) -> dict[str, Any]:
        """Whether the next step is watched."""
        return {"watching": self._probe is not None}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Stop watching where training had ended, or the next step is not to be watched."""
        if not state["watching"]:
            self._close()

    def _open(self, state: TrainingState) -> None:
        if not self._on:
            return
        probe = routing_probe(state.models[self.name], logits=False, training_only=True)
        try:
            self._probe = self._stack.enter_context(probe)
            self._noise = self._stack.enter_context(noise_watch(state.models[self.name]))
        except ModelError as error:
            warnings.warn(f"no curve of the routers: {error}", stacklevel=2)
            self._on = False

    def _close(self) -> None:
        self._stack.close()
        self._probe = None

    def _note(self, state: TrainingState, probe: RoutingProbe) -> None:
        model = state.models[self.name]
        processes = Processes(next(model.parameters()).device)
        found = {}
        cv2 = _mean_cv2(probe, processes)
        if cv2 is not None:
            found[CV2] = cv2
        balance = _balance_loss(model, processes)
        if balance is not None:
            found[BALANCE] = balance
        kept, choices = processes.sum([float(self._noise.kept), float(self._noise.choices)])
        if choices:
            found[CLEAN] = kept / choices
        for name, value in found.items():
            state.curves.setdefault(name, []).append((float(state.step), value))


def is_watched(step: int) -> bool:
    """Whether the step of this number, from 1, is one of those that are watched: a function of nothing else, so that a
    training that goes on after a stop watches the same ones."""
    stride = max(1, 2 ** (step.bit_length() - 1) // OCTAVE)
    return step % stride == 0


def _mean_cv2(probe: RoutingProbe, processes: Processes) -> float | None:
    """Mean over the layers that saw a token in some process; None where none did."""
    found = []
    for picks_N in probe.picks.values():
        all_N = picks_N.new_tensor(processes.sum(picks_N.tolist()))
        if all_N.any():
            found.append(load_cv2(all_N))
    return sum(found) / len(found) if found else None


def _balance_loss(model: nn.Module, processes: Processes) -> float | None:
    """None where no layer has a balance loss, or none that has a gradient."""
    loss = aux_loss(model)
    total, losses = processes.sum([loss.item(), float(loss.requires_grad)])
    return total / losses if losses else None


def health_entry(domains: Mapping[str, Mapping[str, LayerHealth]]) -> dict[str, Any]:
    """Health by domain and by the layer's name ("3", "3 attention"), as an entry of `Record.details`.

    Args:
        domains: one or more, all of the same layers.
    """
    layers = next(iter(domains.values()))
    experts = tuple(len(one.load) for one in layers.values())
    found = {domain: tuple(map(_numbers, seen.values())) for domain, seen in domains.items()}
    return to_details(RouterHealth(tuple(layers), experts, found))


def _numbers(layer: LayerHealth) -> LayerNumbers:
    return LayerNumbers(layer.worst, layer.dead, layer.entropy, layer.token_entropy, layer.cv2)
