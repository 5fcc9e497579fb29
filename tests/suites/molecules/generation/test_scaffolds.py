"""Scores of molecules that a scaffold is asked of, and the choice of scaffolds."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch

from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import PANEL
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.molecules.generation import scaffolds
from sparsebench.suites.molecules.generation.scaffolds import held_out_scaffolds, score_scaffolds

PHENYL, RING = "c1ccccc1", "C1CCCC1"
Make = Callable[..., Generated]


@pytest.fixture(autouse=True)
def fresh_scaffolds() -> Iterator[None]:
    held_out_scaffolds.cache_clear()
    yield
    held_out_scaffolds.cache_clear()


class Fixed:
    """The same molecules for every scaffold; others where the request only steers."""

    def __init__(self, made: list[Generated], steered: list[Generated]) -> None:
        self.made = made
        self.steered = steered

    def without_prefix(self) -> "Fixed":
        return Fixed(self.steered, self.steered)

    def sample(self, n: int, references: Sequence[str], generator: torch.Generator, scaffold: str) -> list[Generated]:
        assert not references and len(self.made) == n
        return self.made


def test_scaffolds_are_different_ones_in_a_fixed_order(monkeypatch: pytest.MonkeyPatch) -> None:
    rings = [f"C1{'C' * n}C1" for n in range(1, 40)]
    monkeypatch.setattr(scaffolds, "moses", lambda split: {"test_scaffolds": [*rings, *rings]}[split])
    first = held_out_scaffolds()
    held_out_scaffolds.cache_clear()
    assert held_out_scaffolds() == first and len(set(first)) == len(first) == 20
    assert first != tuple(rings[:20]), "the file's order is not random"


def test_scores(monkeypatch: pytest.MonkeyPatch, generated: Make) -> None:
    monkeypatch.setattr(scaffolds, "moses", lambda split: [PHENYL, RING])
    made = [generated(text) for text in (PHENYL, "Cc1ccccc1", "Cc1ccccc1", "c1ccccc1C1CCCC1", "")]
    steered = [generated(text) for text in (PHENYL, "CCO", "CCC", "c1ccccc1C1CCCC1", "")]
    context = Context(suite="molecules", task="scaffold_generation", seed=0)
    scores = score_scaffolds(Fixed(made, steered), 5, context)
    order = held_out_scaffolds()
    by_scaffold = {PHENYL: [True, False, False, True, False], RING: [False, False, False, True, False]}
    assert scores.main == "steers" and scores.examples["steers"] == [*by_scaffold[order[0]], *by_scaffold[order[1]]]
    assert scores.metrics["steers"].value == 0.3, "molecules that start as the scaffold say nothing of this"
    assert scores.metrics["exact scaffold"].value == 0.3, "the biphenyl-like one has another scaffold"
    assert scores.metrics["different"].value == 3 / 5 and scores.metrics["different"].n == 5
    items = scores.details[PANEL.key][0]["items"]
    assert len(items) == 1 + 5


def test_nothing_holds(monkeypatch: pytest.MonkeyPatch, generated: Make) -> None:
    monkeypatch.setattr(scaffolds, "moses", lambda split: [PHENYL])
    context = Context(suite="molecules", task="scaffold_generation", seed=0)
    nothing = [generated("CCO"), generated("")]
    scores = score_scaffolds(Fixed(nothing, nothing), 2, context)
    assert scores.metrics["steers"].value == 0 and "different" not in scores.metrics
