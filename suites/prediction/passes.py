"""Passes through a network that stays as it is, each done once in a cell.

The trials of a choice (`chosen.py`) and the training after them begin with the same weights: a probe asks for the same
features in each of them, an adapter for the same results of the frozen stages before it. A result is kept under what it
is a result of: the network, its inputs, and the precision of autocast. Networks and inputs are known by a digest of all
that they hold, so that what a later trial is given is, to the bit, what its own pass would have given it.

On an accelerator, tensors are known by two sums of 64 bits over their mixed bits and places (`sums_of`): to hash them
on the processor would take longer than the pass itself.

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
    """The results that a cell has so far.

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
                _wait_for(result)
                self._keep(fresh, key, result, perf_counter() - start)
                return result
            self.spared += kept.seconds
            return [part.clone() for part in kept.result]

        drawn = _random_states()
        yield run
        same = all(map(torch.equal, drawn, _random_states()))
        if fresh and same and digest_of(network) == before:
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
    """SHA-256 of all that a value holds: classes, options, hooks, and tensors with their layout and device.

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
        about = str(obj.dtype), tuple(obj.shape), obj.stride()
        values = obj.detach().contiguous().reshape(-1)
        if obj.is_cuda:
            return *about, str(obj.device), sums_of(values)
        return *about, hashlib.sha256(values.cpu().view(torch.uint8).numpy()).hexdigest()


def sums_of(values: Tensor) -> tuple[int, int]:
    """Two sums of 64 bits, computed where a tensor lies, which change with each of its bits and with their places.

    Each word of bits is joined with its place, mixed by the finaliser of SplitMix64 (Steele, Lea and Flood, 2014,
    figure 16) and summed modulo 2^64. Equal tensors of one type have equal sums; others have them by chance alone, of
    about 2^-128. They are no protection against somebody who looks for such tensors.

    Args:
        values: (N,), contiguous, of any type.

    Returns:
        The sums, as signed integers.
    """
    kinds = {8: torch.int64, 4: torch.int32, 2: torch.int16, 1: torch.uint8}
    plain = torch.view_as_real(values).reshape(-1) if values.is_complex() else values
    words = plain.view(kinds[plain.element_size()]).to(torch.int64)
    places = torch.arange(1, len(words) + 1, device=words.device) * GOLDEN
    first = _mixed(words + places)
    second = _mixed(first ^ places)
    return int(first.sum()), int(second.sum())


GOLDEN = 0x9E3779B97F4A7C15 - 2**64
"""The increment of SplitMix64, and below the factors of its finaliser, as signed integers."""
FACTORS = ((30, 0xBF58476D1CE4E5B9 - 2**64), (27, 0x94D049BB133111EB - 2**64))


def _mixed(words: Tensor) -> Tensor:
    """Every bit of a word depends on all of them, and no two words become one."""
    for shift, factor in FACTORS:
        words = (words ^ _shifted(words, shift)) * factor
    return words ^ _shifted(words, 31)


def _shifted(words: Tensor, bits: int) -> Tensor:
    """To the right, with zeros on the left: torch repeats the sign."""
    return (words >> bits) & (2 ** (64 - bits) - 1)


def _random_states() -> list[Tensor]:
    """Of torch's generators that a pass could draw from."""
    accelerators = torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else []
    return [torch.get_rng_state(), *accelerators]


def _wait_for(result: list[Tensor]) -> None:
    """An accelerator works on after the call: what a pass takes is known when it has ended."""
    if any(part.is_cuda for part in result):
        torch.cuda.synchronize()


def _computed(what: str, inputs: object, compute: Callable[[], list[Tensor]]) -> list[Tensor]:
    return compute()


def _precision() -> str:
    kinds = [kind for kind in ("cpu", "cuda") if torch.is_autocast_enabled(kind)]
    return " ".join(f"{kind} {torch.get_autocast_dtype(kind)}" for kind in kinds)
