"""Passes through a network that stays as it is, each done once in a cell.

The trials of a choice (`chosen.py`) and the training after them begin with the same weights: a probe asks for the same
features in each of them, an adapter for the same results of the frozen stages before it. A result is kept under what it
is a result of: the network, its inputs, and the precision of autocast. Networks and inputs are known by a digest of all
that they hold, so that what a later trial is given is, to the bit, what its own pass would have given it.

Nothing is kept where that cannot be known or is not so: of a network or inputs that pickle does not take, of passes
that changed the network (it counts something) or drew from torch's generator, and beyond `LARGEST` bytes.
"""

import hashlib
import pickle
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import torch
from torch import Tensor, nn

LARGEST = 2**29
"""Bytes of results that are kept in a cell."""

Run = Callable[[str, Any, Callable[[], list[Tensor]]], list[Tensor]]
"""Gives a result from its name, its inputs and what computes it."""


@dataclass(frozen=True)
class _Kept:
    result: list[Tensor]
    seconds: float


class Passes:
    """The results that a cell has so far, on the processor.

    `spared` is the sum of the seconds that results took when they were computed, over all that were given again: who
    states what a training takes adds them, so that no training looks cheaper for coming later. `keeps` is whether new
    results are kept; what comes last keeps none.
    """

    def __init__(self) -> None:
        self.spared = 0.0
        self.keeps = True
        self._kept: dict[tuple[str, str, str, str], _Kept] = {}
        self._bytes = 0

    @contextmanager
    def of(self, network: nn.Module) -> Iterator[Run]:
        """Passes through a network in evaluation mode, which nothing but them may change inside the block.

        Args:
            network: all of what computes.

        Returns:
            What gives the result of a pass, computed or kept.
        """
        before = digest_of(network)
        if before is None:
            yield _computed
            return
        fresh: dict[tuple[str, str, str, str], _Kept] = {}

        def run(what: str, inputs: Any, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
            named = digest_of(inputs)
            if named is None:
                return compute()
            key = (before, what, named, _precision())
            kept = self._kept.get(key)
            if kept is None:
                start = perf_counter()
                result = compute()
                self._keep(fresh, key, result, perf_counter() - start)
                return result
            self.spared += kept.seconds
            return [part.clone() for part in kept.result]

        drawn = torch.get_rng_state()
        yield run
        if fresh and torch.equal(drawn, torch.get_rng_state()) and digest_of(network) == before:
            self._kept.update(fresh)

    def _keep(self, fresh: dict[Any, _Kept], key: object, result: list[Tensor], seconds: float) -> None:
        size = sum(part.nbytes for part in result)
        if self.keeps and self._bytes + size <= LARGEST:
            self._bytes += size
            fresh[key] = _Kept([part.clone() for part in result], seconds)


@contextmanager
def passes_of(passes: Passes | None, network: nn.Module) -> Iterator[Run]:
    """As `Passes.of`; without passes, everything is computed."""
    if passes is None:
        yield _computed
        return
    with passes.of(network) as run:
        yield run


def digest_of(value: object) -> str | None:
    """SHA-256 of all that a value holds: classes, options, hooks, and tensors with their layout.

    Whether a tensor requires a gradient is left out: it changes no result.

    Args:
        value: a module, a batch.

    Returns:
        Hex digits; None where pickle does not take it.
    """
    found = _Digest()
    try:
        _Pickler(found, protocol=pickle.HIGHEST_PROTOCOL).dump(value)
    except (pickle.PicklingError, TypeError, ValueError, AttributeError, RuntimeError, RecursionError):
        return None
    return found.sha.hexdigest()


class _Digest:
    """A file of which only the digest is kept."""

    def __init__(self) -> None:
        self.sha = hashlib.sha256()

    def write(self, data: Any) -> int:
        self.sha.update(data)
        return memoryview(data).nbytes


class _Pickler(pickle.Pickler):
    def persistent_id(self, obj: Any) -> Any:
        """Plain tensors by the digest of their values; all else goes through pickle's own hands."""
        if type(obj) not in (Tensor, nn.Parameter) or obj.layout is not torch.strided:
            return None
        values = obj.detach().cpu().contiguous().reshape(-1).view(torch.uint8)
        return str(obj.dtype), tuple(obj.shape), obj.stride(), hashlib.sha256(values.numpy()).hexdigest()


def _computed(what: str, inputs: object, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
    return compute()


def _precision() -> str:
    if not torch.is_autocast_enabled("cpu"):
        return ""
    return str(torch.get_autocast_dtype("cpu"))
