"""Molecules to pre-train on, prepared once."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig, Tokenizer, Vocabulary, build_store
from sparsebench.suites.molecules.pretraining.batches import Batches
from sparsebench.suites.molecules.pretraining.corpus import Corpus, build_corpus

SMILES = [
    "CCO",
    "c1ccccc1O",
    "CC(=O)N",
    "C1CC1C",
    "nonsense",
    "CCCCCC",
    "c1ccncc1C",
    "CCN(C)C",
    "O=C1CCCN1",
    "CCCl",
] * 3


@pytest.fixture(scope="session")
def smiles() -> list[str]:
    return SMILES


@pytest.fixture(scope="session")
def corpus(tmp_path_factory: pytest.TempPathFactory) -> Corpus:
    return build_corpus(tmp_path_factory.mktemp("corpus"), partial(iter, SMILES), conditions=15, workers=1)


@pytest.fixture(scope="session")
def more(tmp_path_factory: pytest.TempPathFactory, corpus: Corpus) -> Corpus:
    """Longer molecules than those of `corpus`."""
    longer = ["C" * atoms for atoms in range(12, 18)]
    place = tmp_path_factory.mktemp("more") / "molecules"
    return replace(corpus, source="longer", molecules=build_store(place, longer, Tokenizer(Vocabulary.improved())))


@pytest.fixture
def make_batches(corpus: Corpus) -> Callable[..., Batches]:
    def make(**fields: Any) -> Batches:
        given: dict[str, Any] = {
            "batch_size": 4,
            "condition_fraction": 0.5,
            "num_words": 4,
            "word_dropout": 0.5,
            "seed": 0,
        } | fields
        return Batches(corpus=corpus, **given)

    return make


@pytest.fixture
def make_model(corpus: Corpus) -> Callable[[], GraphsGPT]:
    config = GraphsGPTConfig.of(
        corpus.molecules.vocabulary,
        num_words=4,
        hidden_size=32,
        intermediate_size=48,
        num_hidden_layers=1,
        num_attention_heads=2,
        properties=corpus.statistics(),
    )
    return lambda: GraphsGPT(config)
