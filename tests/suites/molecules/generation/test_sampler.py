"""Ways to sample molecules."""

from collections.abc import Callable

import pytest
import torch
from rdkit import Chem

from sparsebench.models.graphsgpt import Generated, Tokenizer
from sparsebench.models.graphsgpt.decoding.config import SAMPLED
from sparsebench.models.graphsgpt.model.configuration import own_vocabulary
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.molecules.backbones import graphsgpt, graphsgpt_random, tiny_generator
from sparsebench.suites.molecules.generation.sampler import (
    Sampler,
    SamplingConfig,
    draws_per_kept,
    repaired_fraction,
    valid_fraction,
)
from sparsebench.suites.molecules.methods.sampling import Sampling


def draws(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


@pytest.mark.filterwarnings("ignore:logp=9 is outside")
def test_constraints_and_requests_of_a_sampler() -> None:
    model = tiny_generator.load(draws())
    made = Sampler(model).sample(20, (), draws())
    assert all(one.smiles for one in made)
    free = Sampler(model, SamplingConfig(constrained=False, redraws=0)).sample(20, (), draws())
    assert not all(one.smiles for one in free)
    deaf = Sampler(model, SamplingConfig(use_condition=False))
    heard, ignored = (s.sample(9, (), draws(), properties={"logp": 9.0}) for s in (Sampler(model), deaf))
    plain = Sampler(model).sample(9, (), draws())
    assert [one.smiles for one in ignored] == [one.smiles for one in plain] != [one.smiles for one in heard]
    ring = Chem.MolFromSmiles("C1CCCC1")
    for keep in (True, False):
        grown = Sampler(model, SamplingConfig(scaffold_prefix=keep)).sample(20, (), draws(), scaffold="C1CCCC1")
        assert all(one.mol is not None and one.mol.HasSubstructMatch(ring) for one in grown) == keep
    with pytest.raises(NotApplicable, match="takes no conditions"):
        Sampler(graphsgpt_random.load(draws(), "32x1")).sample(1, (), draws())
    shots = Sampler(model, SamplingConfig(noise=0.0)).sample(4, ["CCO", "CCN"], draws())
    assert shots[0].smiles == shots[2].smiles and shots[1].smiles == shots[3].smiles


def test_most_molecules_of_the_packaged_model_are_kept_at_once_and_none_is_repaired() -> None:
    made = Sampler(graphsgpt.load(draws())).sample(100, (), draws())
    assert all(one.as_drawn for one in made) and sum(one.draws == 1 for one in made) >= 60
    assert 1 < draws_per_kept(made).value < 1.6 and draws_per_kept(made).n == 100
    free = Sampler(graphsgpt.load(draws()), SamplingConfig(constrained=False, redraws=0)).sample(50, (), draws())
    assert 30 <= sum(one.status == "ok" for one in free) < 50


def test_the_method_samples_as_the_bare_model_does() -> None:
    backbone = tiny_generator.load(draws())
    method = Sampling().prepare(backbone, Context(suite="molecules", task="moses_generation", seed=0))
    assert isinstance(method, Sampler) and method.decoding() == Sampler(backbone).decoding() == SAMPLED


def test_fractions_of_what_was_sampled(generated: Callable[..., Generated]) -> None:
    made = [generated("C"), generated("CC", repaired=2), generated("", repaired=1), generated("CO")]
    assert (valid_fraction(made).value, repaired_fraction(made).value) == (0.75, 0.5)
    assert valid_fraction(made).higher_is_better and not repaired_fraction(made).higher_is_better


def test_a_sampler_is_its_model_for_the_training_loss() -> None:
    model = tiny_generator.load(draws())
    batch = Tokenizer(own_vocabulary(model.config))(["CCO", "c1ccccc1"]).batch()
    assert torch.equal(Sampler(model)(batch).loss, model(batch).loss)
