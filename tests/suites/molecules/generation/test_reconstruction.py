"""Reconstruction: what counts as exact, for each number of words."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from sparsebench.models.graphsgpt import Generated
from sparsebench.suites.molecules.generation import reconstruction
from sparsebench.suites.molecules.generation.reconstruction import reconstruct

MOLECULES = ["C", "CC", "CCC", "CCCC"]


@pytest.fixture
def sampler(monkeypatch: pytest.MonkeyPatch, generated: Callable[..., Generated]) -> Any:
    """A model of three words; K of them carry chains of at most K atoms."""

    class Chains:
        def __init__(self, model: Any, num_words: int | None = None) -> None:
            self.num_words = num_words

        def encode(self, smiles: Sequence[str]) -> Any:
            return SimpleNamespace(words=list(smiles))

        def decode(self, words: list[str]) -> list[Generated]:
            assert self.num_words is not None
            return [generated(text[: self.num_words]) for text in words]

        def tokenize(self, smiles: Sequence[str]) -> list[str]:
            return list(smiles)

        def read(self, tokens: str) -> Generated:
            return generated(tokens)

    monkeypatch.setattr(reconstruction, "GraphsGPTPipeline", Chains)
    model = SimpleNamespace(config=SimpleNamespace(num_words=3))
    return SimpleNamespace(model=model, pipeline=lambda: Chains(model))


def test_fewer_words_bring_fewer_molecules_back(sampler: Any) -> None:
    scores = reconstruct(sampler, MOLECULES)
    values = {name: metric.value for name, metric in scores.metrics.items()}
    assert values == {"exact K=1": 0.25, "exact K=2": 0.5, "exact K=3": 0.75, "exact": 0.75}
    assert scores.main == "exact" and scores.examples["exact"] == [True, True, True, False]


def test_a_molecule_without_tokens_does_not_come_back(sampler: Any) -> None:
    assert reconstruct(sampler, ["", "C"]).examples["exact"] == [False, True]


def test_the_sampler_may_use_fewer_words_than_the_model(sampler: Any) -> None:
    sampler.pipeline = lambda: SimpleNamespace(num_words=2)
    assert set(reconstruct(sampler, MOLECULES).metrics) == {"exact K=1", "exact K=2", "exact"}
