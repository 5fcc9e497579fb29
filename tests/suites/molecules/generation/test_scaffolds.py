"""Scores of molecules that should hold a scaffold, and the choice of scaffolds."""

from collections.abc import Callable, Iterator, Sequence

import pytest
import torch

from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels.molecules import PANEL
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.molecules.generation import scaffolds
from sparsebench.suites.molecules.generation.scaffolds import held_out_scaffolds, hold_scaffolds

PHENYL, RING = "c1ccccc1", "C1CCCC1"
Make = Callable[..., Generated]


@pytest.fixture(autouse=True)
def fresh_scaffolds() -> Iterator[None]:
    held_out_scaffolds.cache_clear()
    yield
    held_out_scaffolds.cache_clear()


class Fixed:
    """The same molecules for every scaffold."""

    def __init__(self, made: list[Generated]) -> None:
        self.made = made

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
    context = Context(suite="molecules", task="scaffold_generation", seed=0)
    scores = hold_scaffolds(Fixed(made), 5, context)
    order = held_out_scaffolds()
    by_scaffold = {PHENYL: [True, True, True, True, False], RING: [False, False, False, True, False]}
    assert scores.examples["holds"] == [*by_scaffold[order[0]], *by_scaffold[order[1]]]
    assert scores.metrics["holds"].value == 0.5
    assert scores.metrics["exact scaffold"].value == 0.3, "the biphenyl-like one has another scaffold"
    assert scores.metrics["different"].value == 3 / 5 and scores.metrics["different"].n == 5
    items = scores.details[PANEL.key][0]["items"]
    assert len(items) == 1 + 5


def test_nothing_holds(monkeypatch: pytest.MonkeyPatch, generated: Make) -> None:
    monkeypatch.setattr(scaffolds, "moses", lambda split: [PHENYL])
    context = Context(suite="molecules", task="scaffold_generation", seed=0)
    scores = hold_scaffolds(Fixed([generated("CCO"), generated("")]), 2, context)
    assert scores.metrics["holds"].value == 0 and "different" not in scores.metrics
