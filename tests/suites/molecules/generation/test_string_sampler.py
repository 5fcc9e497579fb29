"""Sampling of strings: what is no molecule is drawn again, and counted."""

import pytest
import torch

from sparsebench.models.molecules.char_rnn import CharRNN, CharRNNConfig, Written
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.molecules.char_rnn_small import load_char_rnn
from sparsebench.suites.molecules.generation.string_sampler import StringSampler, read_string


class Fixed(CharRNN):
    """Gives these texts, one after another."""

    def __init__(self, *texts: str) -> None:
        super().__init__(CharRNNConfig(characters="C", width=1))
        self.texts = list(texts)

    def sample(self, n: int, *, temperature: float = 1.0, generator: torch.Generator | None = None) -> list[Written]:
        given, self.texts = self.texts[:n], self.texts[n:]
        return [Written(text, -1.0, text != "CCCC") for text in given]


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def test_invalid_strings_are_drawn_again_and_counted() -> None:
    model = Fixed("OC", "C1", "", "c1cc", "CN", "C(")
    made = StringSampler(model, redraws=2).sample(3, (), draws())
    assert [(one.smiles, one.draws, one.status) for one in made] == [
        ("CO", 1, "ok"),
        (None, 3, "invalid"),
        ("CN", 2, "ok"),
    ]
    assert made[1].reason == "the string is no molecule" and not model.texts
    assert StringSampler(Fixed("C(", "C"), redraws=0).sample(1, (), draws())[0].draws == 1


def test_a_string_without_an_end_is_no_molecule() -> None:
    cut = read_string(Written("CCCC", -3.0, False), 2)
    assert (cut.smiles, cut.reason, cut.draws, cut.log_prob) == (None, "the string has no end", 2, -3.0)


def test_it_takes_no_conditions() -> None:
    for asked in ({"scaffold": "c1ccccc1"}, {"properties": {"logp": 1.0}}):
        with pytest.raises(NotApplicable, match="takes no conditions"):
            StringSampler(Fixed("C")).sample(1, (), draws(), **asked)


def test_the_packaged_model_writes_molecules() -> None:
    made = StringSampler(load_char_rnn()).sample(60, (), draws())
    assert all(one.status == "ok" for one in made) and len({one.smiles for one in made}) > 50
    assert sum(one.draws == 1 for one in made) > 30
