"""What outputs stand for, and how two of them differ."""

from typing import Any

import torch

from sparsebench.suites.contracts.vocabulary import difference, vocabulary
from sparsebench.suites.llm.backbones import tiny as tiny_lm
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.molecules.backbones import graphsgpt_random
from sparsebench.suites.vtab.backbones import tiny as tiny_vit


def test_a_language_model_has_the_tokens_of_its_tokenizer() -> None:
    assert vocabulary(tiny_lm.load(torch.Generator())) == byte_tokenizer().get_vocab()


def test_a_generator_has_atoms_and_bonds() -> None:
    model: Any = graphsgpt_random.load(torch.Generator())
    found = vocabulary(model)
    assert found is not None and len(found) == model.config.num_atoms + model.config.num_bonds


def test_where_a_task_gives_the_head_there_is_none() -> None:
    assert vocabulary(tiny_vit.load(torch.Generator())) is None


def test_differences_in_words() -> None:
    own = {"a": 0, "b": 1, "c": 2}
    assert difference(own, dict(own)) is None
    assert difference(own, {"a": 0}) == "1 tokens instead of 3"
    assert (
        difference(own, {"a": 0, "c": 1, "b": 2}) == "as many tokens, 2 of them others or with other numbers, first 'b'"
    )
