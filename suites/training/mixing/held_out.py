"""What a strategy looks at: losses and gate loads of each data set, on held-out rows, over all processes."""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures import Signal
from sparsebench.models.evaluation import evaluation_mode
from sparsebench.models.moe.routing.health import layer_places
from sparsebench.models.moe.routing.probe import RoutingProbe, routing_probe

from ..processes import Processes
from ..random_state import undisturbed

LOSSES, LOADS = "losses", "loads"
"""What a strategy may need (`Strategy.needs`)."""

# Shapes: L layers with experts, N experts of a layer.


@dataclass(frozen=True, kw_only=True)
class HeldOut:
    """Held-out rows of each data set, and how a model reads them."""

    batches: Mapping[str, Sequence[Any]]
    """By data set; each has one batch at least."""
    loss: Callable[[Any, Any], Tensor]
    """Mean loss of (model, batch)."""
    weight: Callable[[Any], float]
    """Over how many things (tokens with a label, examples) the loss of a batch is a mean."""
    forward: Callable[[Any, Any], Any]
    """Lets (model, batch) pass all routers; a head is not needed."""
    dtype: torch.dtype = torch.float32
    """bfloat16 reads under autocast, as training with that precision does."""

    def __post_init__(self) -> None:
        for name, batches in self.batches.items():
            if not batches:
                raise ValueError(f"the data set {name!r} has no held-out row: a strategy could not see it")


def measure(model: nn.Module, held_out: HeldOut, needs: frozenset[str], processes: Processes, steps: int = 0) -> Signal:
    """What a strategy that `needs` something may look at; the model, its modes and random states stay as they are.

    Losses are means over all held-out rows of a data set. Loads (L, N) count how often each expert was chosen by a real
    token; padding never counts. Stock mixtures and converted ones are seen by the one probe. The FFNs are counted, or,
    where only attentions have experts, these; a layer with fewer experts than another ends with zeros.

    The batches are shared out over the processes and what they saw is summed up. Each process calls the model as often
    as every other one, so that a sharded model can be measured too.

    Raises `ModelError` where loads are needed of a model without experts.
    """
    names = list(held_out.batches)
    sums = {name: 0.0 for name in names}
    sizes = {name: 0.0 for name in names}
    counts: dict[str, np.ndarray] = {}
    if not needs:
        return Signal(steps=steps)
    with _reading(model, held_out.dtype), ExitStack() as stack:
        picks = None
        before = np.zeros(())
        if LOADS in needs:
            picks = _picks(model, stack.enter_context(routing_probe(model, logits=False)))
            before = picks()
            counts = {name: np.zeros_like(before) for name in names}
        for name, batch, mine in _shared(held_out.batches, processes):
            if LOSSES in needs:
                size = held_out.weight(batch)
                loss = float(held_out.loss(model, batch))
                if mine and size:  # a batch without a label has no mean: NaN
                    sums[name] += loss * size
                    sizes[name] += size
            else:
                held_out.forward(model, batch)
            if picks is not None:
                after = picks()
                if mine:
                    counts[name] += after - before
                before = after
    return _signal(sums, sizes, counts, needs, processes, steps)


def check_readable(model: nn.Module, needs: frozenset[str]) -> None:
    """Raise `ModelError` where `needs` has loads and the model no experts that can be watched."""
    if LOADS in needs:
        with routing_probe(model, logits=False):
            pass


def _signal(
    sums: Mapping[str, float],
    sizes: Mapping[str, float],
    counts: Mapping[str, np.ndarray],
    needs: frozenset[str],
    processes: Processes,
    steps: int,
) -> Signal:
    """What all processes saw, added up in one message. Raises FloatingPointError for a loss that is not finite."""
    flat = [*sums.values(), *sizes.values()]
    for count_LN in counts.values():
        flat += count_LN.ravel().tolist()
    numbers = iter(processes.sum(flat))
    all_sums = {name: next(numbers) for name in sums}
    all_sizes = {name: next(numbers) for name in sizes}
    losses = None
    if LOSSES in needs:
        empty = [name for name, size in all_sizes.items() if not size]
        if empty:
            raise MixtureError(f"no held-out row of the data set {empty[0]!r} has a token with a label")
        losses = {name: all_sums[name] / all_sizes[name] for name in sums}
        bad = [name for name, loss in losses.items() if not math.isfinite(loss)]
        if bad:
            raise FloatingPointError(f"the held-out loss of {', '.join(map(repr, bad))} is NaN or infinite")
    loads = None
    if LOADS in needs:
        loads = {}
        for name, count_LN in counts.items():
            loads[name] = np.array([next(numbers) for _ in range(count_LN.size)]).reshape(count_LN.shape)
    return Signal(losses=losses, loads=loads, steps=steps)


def _shared(batches: Mapping[str, Sequence[object]], processes: Processes) -> Iterator[tuple[str, Any, bool]]:
    """The batches of this process with their data set, and whether they count: where the last round has no batch for
    it, it reads one again for nothing, because processes of a sharded model have to call it together."""
    places = [(name, batch) for name, members in batches.items() for batch in members]
    for start in range(0, len(places), processes.count):
        place = start + processes.rank
        mine = place < len(places)
        name, batch = places[min(place, len(places) - 1)]
        yield name, batch, mine


def _picks(model: nn.Module, probe: RoutingProbe) -> Callable[[], np.ndarray]:
    """What gives, each time, how often each expert of each layer was chosen so far (L, N)."""
    places = layer_places(model)

    def picks() -> np.ndarray:
        seen = probe.picks
        found = [path for path in places if path in seen]
        ffns = [path for path in found if not places[path][1]]
        layers = [seen[path].numpy() for path in ffns or found]
        most = max(len(layer) for layer in layers)
        counts_LN = np.zeros((len(layers), most))
        for number, layer in enumerate(layers):
            counts_LN[number, : len(layer)] = layer
        return counts_LN

    return picks


@contextmanager
def _reading(model: nn.Module, dtype: torch.dtype) -> Iterator[None]:
    """Evaluation mode without gradients, in the precision of the training; all is as before at the end."""
    device = next(model.parameters()).device
    autocast = torch.autocast(device.type, torch.bfloat16, enabled=dtype is torch.bfloat16)
    with evaluation_mode(model), undisturbed(), torch.no_grad(), autocast:
        yield
