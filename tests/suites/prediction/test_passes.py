"""Results of frozen networks that are kept: what was computed, for the same network and inputs only."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.suites.prediction import passes as module
from sparsebench.suites.prediction.passes import Passes, digest_of, passes_of, sums_of


class Doubling(nn.Module):
    """An option, a weight, a buffer; `seen` and `noise` are what no kept result could replace."""

    seen: Tensor

    def __init__(self, seed: int = 0, *, counts: bool = False, draws: bool = False, power: int = 1) -> None:
        super().__init__()
        generator = torch.Generator().manual_seed(seed)
        self.weight = nn.Parameter(torch.randn(3, 3, generator=generator), requires_grad=False)
        self.register_buffer("seen", torch.tensor(0))
        self.counts, self.draws, self.power = counts, draws, power

    def forward(self, inputs: Tensor) -> Tensor:
        self.seen += int(self.counts)
        noise = torch.rand(()) if self.draws else 0.0
        return (inputs @ self.weight) ** self.power + noise


INPUTS = torch.arange(6.0).view(2, 3)


def computed(passes: Passes | None, network: nn.Module, inputs: Tensor = INPUTS, what: str = "features") -> list[Any]:
    """The result, and how many times it was computed: 1 or 0."""
    calls = []

    def compute() -> list[Tensor]:
        calls.append(1)
        return [network(inputs)]

    with passes_of(passes, network) as once:
        (result,) = once(what, inputs, compute)
    return [result, len(calls)]


def test_the_same_network_and_inputs_give_the_kept_result() -> None:
    passes = Passes()
    first, again = computed(passes, Doubling()), computed(passes, Doubling(), INPUTS.clone())
    assert (first[1], again[1]) == (1, 0) and torch.equal(first[0], again[0])
    assert 0 < passes.spared < 1
    again[0].zero_()  # what is given is a copy
    first[0].zero_()
    assert torch.equal(computed(passes, Doubling())[0], Doubling()(INPUTS))
    assert [computed(None, Doubling())[1] for _ in range(2)] == [1, 1]


def _hooked() -> Doubling:
    network = Doubling()
    network.register_forward_hook(print)
    return network


def _nudged() -> Doubling:
    network = Doubling()
    network.weight[0, 0] = torch.nextafter(network.weight[0, 0], torch.tensor(9.0))
    return network


OTHERS: dict[str, Callable[[], tuple[nn.Module, Tensor, str]]] = {
    "weights": lambda: (_nudged(), INPUTS, "features"),
    "an option": lambda: (Doubling(power=2), INPUTS, "features"),
    "a hook": lambda: (_hooked(), INPUTS, "features"),
    "training": lambda: (Doubling().eval(), INPUTS, "features"),
    "inputs": lambda: (Doubling(), INPUTS + 1, "features"),
    "their layout": lambda: (Doubling(), INPUTS.T.contiguous().T, "features"),
    "what is asked": lambda: (Doubling(), INPUTS, "4 stages"),
}


@pytest.mark.parametrize("differs", OTHERS)
def test_anything_else_is_computed(differs: str) -> None:
    passes = Passes()
    computed(passes, Doubling())
    assert computed(passes, *OTHERS[differs]())[1] == 1


def test_another_precision_is_another_result() -> None:
    passes = Passes()
    computed(passes, Doubling())
    with torch.autocast("cpu", torch.bfloat16):
        result, calls = computed(passes, Doubling())
    assert calls == 1 and result.dtype is torch.bfloat16


@pytest.mark.parametrize("kind", ["counts", "draws", "cannot be pickled"])
def test_passes_that_do_more_than_give_a_result_are_not_kept(kind: str) -> None:
    passes = Passes()
    for _ in range(2):
        network = Doubling(counts=kind == "counts", draws=kind == "draws")
        if kind == "cannot be pickled":
            object.__setattr__(network, "own", lambda: None)
            assert digest_of(network) is None
        assert computed(passes, network)[1] == 1
        assert int(network.seen) == int(kind == "counts")


def test_what_comes_last_or_is_too_large_is_not_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    last = Passes()
    last.keeps = False
    assert [computed(last, Doubling())[1] for _ in range(2)] == [1, 1]
    monkeypatch.setattr(module, "LARGEST", INPUTS.nbytes)
    passes = Passes()
    assert [computed(passes, Doubling(), INPUTS + row)[1] for row in (0, 1, 0, 1)] == [1, 1, 0, 1]


def test_two_sums_know_each_bit_its_place_and_nothing_else() -> None:
    values = torch.arange(24.0)
    known = sums_of(values)
    assert sums_of(values.clone()) == known
    seen = {known}
    for place in range(24):
        for bit in range(32):
            words = values.view(torch.int32).clone()
            words[place] ^= 1 << bit if bit < 31 else -(1 << 31)
            seen.add(sums_of(words.view(torch.float32)))
    for first in range(24):
        for second in range(first):
            swapped = values.clone()
            swapped[[first, second]] = values[[second, first]]
            seen.add(sums_of(swapped))
    assert len(seen) == 1 + 24 * 32 + 24 * 23 // 2
    assert len({sums[0] for sums in seen}) == len({sums[1] for sums in seen}) == len(seen)


@pytest.mark.parametrize("kind", [torch.bool, torch.uint8, torch.bfloat16, torch.float64, torch.complex64])
def test_every_type_has_sums(kind: torch.dtype) -> None:
    values = torch.tensor([0, 1, 1, 0], dtype=kind)
    assert len({sums_of(values), sums_of(values.flip(0)), sums_of(values.roll(1)), sums_of(values[:0])}) == 3
