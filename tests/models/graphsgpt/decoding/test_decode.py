"""Cached decoding against the same model without a cache, and what comes out of it."""

import copy
from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.model.losses import slots
from sparsebench.models.graphsgpt.model.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens.batch import MoleculeTokens
from sparsebench.models.graphsgpt.tokens.detokenize import to_molecule
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..model_cases import VOCABULARY, chained, noise, peaked, small
from ..slow_decoding import Grown, batch_of, check_against

SHORT = {"max_edges": 40}


def uncached(model: GraphsGPT, words: Tensor, cap: int, edges: int) -> MoleculeTokens:
    """Greedy decoding of one molecule: the whole prefix each time, and every legal edge looked at in turn."""
    state = model.decoder(batch_of([]), words)[0, 0]
    molecule = Grown(int(model.heads.first_atom(state).argmax()), cap)
    for _ in range(edges):
        logs = log_probabilities(model, state, len(molecule.free))
        options = list(molecule.options())
        if int(logs[0].argmax()) == 0 or not options:
            break
        new = len(molecule.free)
        molecule.add(
            *max(options, key=lambda e: sum(log[i] for log, i in zip(logs[: 3 + (e[2] == new)], e, strict=False)))
        )
        last = max(place for place, row in enumerate(molecule.rows) if row[3] == 0)
        state = model.decoder(batch_of(molecule.rows), words)[0, 1 + last]
    return np.array(molecule.rows, dtype=np.int16).T


def log_probabilities(model: GraphsGPT, state: Tensor, count: int) -> list[Tensor]:
    """Of the bond class, the begin, the end and a new atom's class."""
    predicted = model.heads(state.unsqueeze(0), model.decoder.embed.positions.codes)
    begin = slots(predicted.begin, torch.tensor([count]), 16.0)
    end = slots(predicted.end, torch.tensor([count + 1]), 16.0)
    return [logits[0].log_softmax(-1) for logits in (predicted.bond, begin, end, predicted.atom)]


def test_cached_decoding_gives_the_molecules_of_slow_decoding() -> None:
    check_against(uncached, peaked)


@pytest.mark.parametrize("row", [0, 7, 19])
def test_a_molecule_alone_is_the_row_of_a_batch(row: int) -> None:
    model, words = peaked(), noise(20)
    config = DecodingConfig(**SHORT)
    together, alone = decode(model, words, config=config)[row], decode(model, words[row : row + 1], config=config)[0]
    assert np.array_equal(together.tokens, alone.tokens)
    assert (together.status, together.illegal) == (alone.status, alone.illegal)
    assert together.log_prob == pytest.approx(alone.log_prob, abs=1e-3)


@pytest.mark.parametrize("build", [small, chained])
@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
def test_every_molecule_is_valid(temperature: float, build: Callable[..., GraphsGPT]) -> None:
    """Random weights propose nonsense at almost every step; all atoms of the default vocabulary are in it."""
    vocabulary = Vocabulary.improved()
    config, generator, found = DecodingConfig(temperature=temperature, **SHORT), torch.Generator().manual_seed(0), []
    for seed in range(6):
        found += decode(build(vocabulary, seed=seed), 2 * noise(30), config=config, generator=generator)
    assert sum(molecule.illegal for molecule in found) > 100
    assert max(molecule.tokens.shape[1] for molecule in found) > 20
    for molecule in found:
        assert molecule.status in ("complete", "truncated")
        atoms = to_molecule(molecule.tokens, vocabulary).GetNumAtoms()
        assert atoms == molecule.tokens[3].sum()


def test_without_constraints_molecules_break() -> None:
    model, words = peaked(), noise(50)
    free = decode(model, words, config=DecodingConfig(constrained=False, **SHORT))
    assert {molecule.status for molecule in free} >= {"invalid"}
    broken = [molecule for molecule in free if molecule.status == "invalid"]
    assert all(molecule.illegal > 0 for molecule in broken)
    bound = decode(model, words, config=DecodingConfig(**SHORT))
    same = [np.array_equal(a.tokens, b.tokens) for a, b in zip(free, bound, strict=True)]
    assert same == [a.illegal == 0 for a in free]


def test_drawing_follows_the_generator_and_greedy_needs_none() -> None:
    model, words = peaked(), noise(6)

    def tokens(temperature: float, seed: int) -> list[bytes]:
        config = DecodingConfig(temperature=temperature, **SHORT)
        found = decode(model, words, config=config, generator=torch.Generator().manual_seed(seed))
        return [molecule.tokens.tobytes() for molecule in found]

    assert tokens(1.0, 0) == tokens(1.0, 0) != tokens(1.0, 1)
    assert tokens(0.0, 0) == tokens(0.0, 1) == tokens(1e-4, 2)
    top = DecodingConfig(temperature=2.0, top_k=1, **SHORT)
    first = [m.tokens[0, 0] for m in decode(model, words, config=top, generator=torch.Generator())]
    assert first == [m.tokens[0, 0] for m in decode(model, words, config=DecodingConfig(**SHORT))]


@pytest.mark.parametrize(("cap", "edges"), [(1, 40), (5, 40), (128, 1), (128, 7)])
def test_limits_cut_molecules_short(cap: int, edges: int) -> None:
    found = decode(peaked(), noise(30), config=DecodingConfig(max_atoms=cap, max_edges=edges))
    for molecule in found:
        atoms, bonds = molecule.tokens[3].sum(), (molecule.tokens[3] == 0).sum()
        assert atoms <= cap and bonds <= edges
        assert molecule.status != "truncated" or bonds == edges
        to_molecule(molecule.tokens, VOCABULARY)


def test_a_model_with_few_codes_fills_them_up() -> None:
    found = [m for seed in range(4) for m in decode(peaked(max_atoms=5, code_size=8, seed=seed), noise(20))]
    sizes = [int(molecule.tokens[3].sum()) for molecule in found]
    assert max(sizes) == 5 and sum(molecule.illegal for molecule in found) > 20
    for molecule in found:
        to_molecule(molecule.tokens, VOCABULARY)


def test_bfloat16() -> None:
    model = peaked().to(torch.bfloat16)
    for molecule in decode(model, noise(5).bfloat16(), config=DecodingConfig(**SHORT)):
        to_molecule(molecule.tokens, VOCABULARY)


def test_the_model_is_left_as_it_was() -> None:
    model = peaked()
    before = copy.deepcopy(model.state_dict())
    assert decode(model, noise(0)) == []
    decode(model, noise(2), config=DecodingConfig(max_edges=3))
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
