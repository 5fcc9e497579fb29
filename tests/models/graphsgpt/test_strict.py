"""The published rules of decoding against a slow loop over one molecule, without a cache."""

import numpy as np
import pytest
import torch
from torch import Tensor

from sparsebench.models.graphsgpt.decoding import DecodingConfig, decode
from sparsebench.models.graphsgpt.modeling import GraphsGPT
from sparsebench.models.graphsgpt.tokens import MoleculeTokens, collate
from sparsebench.models.graphsgpt.vocabulary import Vocabulary

from .model_cases import faithful

STRICT = DecodingConfig(constrained=False, max_edges=12)
CARBON, OXYGEN = 5, 7  # classes: elements from 1 on


def talkative(seed: int) -> GraphsGPT:
    """Few codes of few numbers, so that similarities above 1/2 are common; only carbon and oxygen come first."""
    model = faithful(max_atoms=6, code_size=6, seed=seed)
    with torch.no_grad():
        model.heads.bond.weight.mul_(20)
        keep = model.heads.first_atom.weight[[CARBON, OXYGEN]] * 100
        model.heads.first_atom.weight.zero_()
        model.heads.first_atom.weight[[CARBON, OXYGEN]] = keep
    return model


def slow(model: GraphsGPT, words: Tensor) -> tuple[MoleculeTokens, str]:
    """Section by section as the rules are written; atoms are atomic numbers."""
    vocabulary = Vocabulary.from_dict(model.config.vocabulary)
    codes, first_edge = model.decoder.embed.positions.codes, vocabulary.first_edge
    state = model.decoder(collate([np.zeros((4, 0), dtype=np.int16)]), words)[0, 0]
    atoms = [1 + int(model.heads.first_atom(state).argmax())]
    edges: list[tuple[int, int, int]] = []
    status = "truncated"
    while len(edges) < STRICT.max_edges:
        bond, begin, end, _ = model.heads(state.unsqueeze(0), codes)
        kind = int(bond.argmax())
        if kind == 0:
            status = "complete" if edges else "invalid"
            break
        low, high, _ = vocabulary.edges[kind - 1]
        if not edges and atoms[0] not in (low, high):
            atoms[0] = low
        i, j = int(begin[0, : len(atoms)].argmax()), int(end[0, : len(atoms)].argmax())
        if end[0, j] <= 0.5:
            j = len(atoms)
        other = high if atoms[i] == low else low
        known = [{i, j} == {a, b} for _, a, b in edges]
        if atoms[i] not in (low, high) or i == j or any(known) or j >= 6 or (j < len(atoms) and atoms[j] != other):
            status = "invalid"
            break
        edges.append((first_edge + kind - 1, i, j))
        atoms += [other] if j == len(atoms) else []
        tokens = rows(atoms, edges)
        state = model.decoder(collate([tokens]), words)[0, 1 + int((tokens[3] == 0).nonzero()[0].max())]
    return rows(atoms, edges), status


def rows(atoms: list[int], edges: list[tuple[int, int, int]]) -> MoleculeTokens:
    """An atom's token is 1 + its atomic number."""
    table, count = [(1 + atoms[0], 0, 0, 1)], 1
    for token, begin, end in edges:
        table.append((token, begin, end, 0))
        if end == count:
            table.append((1 + atoms[end], end, end, 1))
            count += 1
    return np.array(table, dtype=np.int16).T


@torch.no_grad()
def test_strict_decoding_is_that_of_a_slow_loop() -> None:
    seen = {"complete": 0, "invalid": 0, "truncated": 0}
    closed = longest = 0
    for seed in range(8):
        model = talkative(seed)
        words = 2 * torch.randn(12, 3, 32, generator=torch.Generator().manual_seed(seed))
        for row, molecule in enumerate(decode(model, words, config=STRICT)):
            tokens, status = slow(model, words[row : row + 1])
            assert molecule.status == status and np.array_equal(molecule.tokens, tokens), (seed, row)
            seen[status] += 1
            atoms, edges = int(tokens[3].sum()), int((tokens[3] == 0).sum())
            closed, longest = closed + (edges > atoms - 1), max(longest, edges)
    assert seen["complete"] > 5 and seen["invalid"] > 20
    assert longest > 3 and closed > 0


@pytest.mark.parametrize("temperature", [0.0, 1.0])
def test_a_failed_molecule_is_said_to_be_one(temperature: float) -> None:
    config = DecodingConfig(constrained=False, temperature=temperature)
    generator = torch.Generator().manual_seed(0)
    words, found = 2 * torch.randn(12, 3, 32, generator=generator), []
    for seed in range(6):
        found += decode(talkative(seed), words, config=config, generator=generator)
    assert any(molecule.illegal for molecule in found)
    assert all((molecule.status == "invalid") == (molecule.illegal > 0) for molecule in found)
