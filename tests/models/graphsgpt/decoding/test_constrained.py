"""Constrained decoding in faithful mode: what is legal, what is chosen, and that every molecule is valid."""

import numpy as np
import pytest
import torch
from rdkit import Chem

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.decoding.config import DecodingConfig
from sparsebench.models.graphsgpt.decoding.constrained import ConstrainedMolecules
from sparsebench.models.graphsgpt.decoding.decode import decode
from sparsebench.models.graphsgpt.decoding.edge_sampling import EdgeSampler
from sparsebench.models.graphsgpt.decoding.output import Decoded
from sparsebench.models.graphsgpt.decoding.strict import StrictMolecules
from sparsebench.models.graphsgpt.decoding.valence import Edge, max_valence
from sparsebench.models.graphsgpt.model.heads import Predictions
from sparsebench.models.graphsgpt.tokens.detokenize import to_molecule
from sparsebench.models.graphsgpt.tokens.faithful import collect_bonds
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import FIRST_NODE, Vocabulary

from ..model_cases import SMILES, edge
from ..published_rules import RICH, talkative
from ..tokens.test_aromatic import RINGS
from .test_flexible import GREEDY, random_predictions

AROMATIC = Vocabulary.faithful([(a, b, 1.5) for a, b in ((6, 6), (6, 7), (7, 7), (6, 8), (7, 8), (6, 16), (5, 7))])
ODD = Vocabulary.faithful([(1, 6, 1), (6, 15, 1.5), (8, 15, 2), (6, 34, 1.5), (6, 26, 1), (8, 26, 2), (6, 6, 1.5)])
NO_BOND = Vocabulary.faithful([(9, 9, 2), (9, 9, 3)])  # no bond is possible


def on_start(first: int = 5, vocabulary: Vocabulary = RICH, cap: int = 5) -> ConstrainedMolecules:
    return ConstrainedMolecules(vocabulary, torch.tensor([first]), cap, 16.0)


def allowed(edges: list[tuple[int, int, int]], atoms: list[int], c: int, i: int, j: int, cap: int) -> bool:
    """Whether an edge of a molecule (atomic numbers; class, begin, end) is legal, spelt out."""
    low, high, order = RICH.edges[c - 1]
    atoms = list(atoms)
    if not edges and atoms[0] not in (low, high):
        atoms[0] = low
    if atoms[i] not in (low, high) or i == j or any({i, j} == {a, b} for _, a, b in edges) or j >= cap:
        return False
    other = high if atoms[i] == low else low
    if j < len(atoms) and atoms[j] != other:
        return False
    for end, element in ((i, atoms[i]), (j, other)):
        used = sum(int(RICH.edges[kind - 1].order) for kind, *pair in edges if end in pair)
        if used + int(order) > max_valence(element, 0):
            return False
    return True


@pytest.mark.parametrize("seed", range(6))
def test_legal_is_what_the_rules_say(seed: int) -> None:
    """Every possible edge of molecules that grow at random up to the cap, one by one and by the joint mask."""
    generator, cap = np.random.default_rng(seed), 5
    first = int(generator.choice([5, 6, 7, 0]))
    molecules, atoms, edges = on_start(first, cap=cap), [first + 1], []
    for _ in range(9):
        count, legal = len(atoms), []
        mask = molecules.mask(torch.tensor([0]), count)[0]
        assert not mask[0].any()
        for c, i, j in np.ndindex(len(RICH.edges) + 1, count, count + 1):
            if c == 0:
                continue
            good = allowed(edges, atoms, c, i, j, cap)
            assert bool(mask[c, i, j]) == good, (c, i, j)
            if edges:
                low, high, _ = RICH.edges[c - 1]
                assert bool(molecules.is_valid_edge(edge(c, i, j, (high if atoms[i] == low else low) - 1))) == good
            legal += [(c, i, j)] if good else []
        if not legal:
            break
        c, i, j = legal[int(generator.integers(len(legal)))]
        low, high, _ = RICH.edges[c - 1]
        if not edges:
            atoms[0] = low if atoms[0] not in (low, high) else atoms[0]
            molecules.atoms[0, 0] = atoms[0] - 1
        other = high if atoms[i] == low else low
        molecules.add(edge(c, i, j, other - 1), torch.tensor([True]))
        edges.append((c, i, j))
        atoms += [other] if j == count else []
    assert len(edges) > 1


@pytest.mark.parametrize("cap", [1, 3, 12])
def test_the_best_edge_is_the_strict_one_where_that_is_legal(cap: int) -> None:
    generator, rows = torch.Generator().manual_seed(cap), 50
    first = torch.tensor([5, 7, 8])[torch.randint(3, (rows,), generator=generator)]
    ours, strict = ConstrainedMolecules(RICH, first, cap, 16.0), StrictMolecules(RICH, first, cap)
    same = 0
    for step in range(12):
        predicted, active = random_predictions(rows, cap, generator), torch.ones(rows, dtype=torch.bool)
        proposed, _ = ours.propose(predicted, GREEDY)
        by_strict, _ = strict.propose(predicted, GREEDY)
        valid = ours.is_valid_edge(proposed) & (proposed.bond != 0)
        # The strict rules do not rename a first atom, and their first bond needs no similarity.
        alike = valid & strict.is_valid_edge(by_strict) if step == 0 else torch.ones_like(valid)
        assert all(torch.equal(a[alike], b[alike]) for a, b in zip(proposed, by_strict, strict=True))
        assert alike.any() or cap == 1
        taken, log_prob = ours.repair(predicted, proposed, GREEDY, torch.arange(rows))
        for part, old in zip(taken, proposed, strict=True):
            assert torch.equal(part[valid], old[valid])
        same += int(valid.sum())
        stop = taken.bond == 0
        assert ours.is_valid_edge(taken)[~stop].all()
        torch.testing.assert_close(log_prob, predicted.bond.log_softmax(1)[torch.arange(rows), taken.bond])
        strict.atoms[:, 0] = ours.atoms[:, 0]
        for molecules in (ours, strict):
            molecules.add(taken, active & ~stop)
    assert same > 20 or cap == 1


@pytest.mark.parametrize("size", [1, 1 << 30])
def test_the_size_of_the_pieces_does_not_matter(size: int, monkeypatch: pytest.MonkeyPatch) -> None:
    predicted = random_predictions(30, 9, torch.Generator().manual_seed(0))
    rows = torch.arange(0, 30, 2)
    molecules = ConstrainedMolecules(RICH, torch.full((30,), 5), 9, 16.0)
    proposed, _ = molecules.propose(predicted, GREEDY)
    expected, _ = molecules.repair(predicted, proposed, GREEDY, rows)
    monkeypatch.setattr("sparsebench.models.graphsgpt.decoding.constrained.AT_ONCE", size)
    again, _ = molecules.repair(predicted, proposed, GREEDY, rows)
    assert all(torch.equal(a, b) for a, b in zip(expected, again, strict=True))


def test_repairs_are_drawn_from_the_legal_edges() -> None:
    """Frequencies of a repair against the joint distribution over all legal edges; a new end counts 1/2."""
    generator = torch.Generator().manual_seed(0)
    molecules = on_start(cap=4)
    molecules.add(edge(1 + RICH.edges.index((6, 8, 1)), 0, 1, 7), torch.tensor([True]))
    predicted = random_predictions(1, 4, generator)
    many = Predictions(*(part.expand(20_000, -1) for part in predicted[:3]), None)
    rows = torch.arange(20_000)
    for name in ("present", "atoms", "joined", "used", "predicted"):
        part = getattr(molecules, name)
        setattr(molecules, name, part.expand(20_000, *part.shape[1:]))
    sampler = EdgeSampler(temperature=0.7, top_k=None, generator=generator)
    molecules.scale = 2.0
    proposed = Edge(*(torch.zeros(20_000, dtype=torch.long) for _ in range(4)))
    bond, begin, end, _ = molecules.repair(many, proposed, sampler, rows)[0]
    cosines = torch.cat([predicted.end[0, :2], torch.tensor([0.5])])
    joint = predicted.bond[0, :, None, None] + 2 * predicted.begin[0, None, :2, None] + 2 * cosines
    legal = molecules.mask(rows[:1], 2)[0]
    expected = (joint / 0.7).masked_fill(~legal, -torch.inf).flatten().softmax(-1)
    frequency = torch.bincount((bond * 2 + begin) * 3 + end, minlength=len(expected)) / len(rows)
    assert (expected > 0.01).sum() > 5
    assert (frequency - expected).abs().max() < 0.012
    assert frequency[expected == 0].sum() == 0


def generate(vocabulary: Vocabulary, temperature: float, seeds: range, rows: int, **fields: object) -> list[Decoded]:
    generator, found = torch.Generator().manual_seed(0), []
    config = DecodingConfig(temperature=temperature, max_edges=30)
    for seed in seeds:
        sizes = {"max_atoms": 24, "code_size": 24, "peak": 3} | fields
        model = talkative(seed, vocabulary, **sizes)
        words = 2 * torch.randn(rows, 3, 32, generator=generator)
        found += decode(model, words, config=config, generator=generator)
    return found


@pytest.mark.parametrize("temperature", [0.0, 1.0, 3.0])
@pytest.mark.parametrize("vocabulary", [RICH, AROMATIC, ODD], ids=["rich", "aromatic", "odd"])
def test_every_molecule_is_valid(vocabulary: Vocabulary, temperature: float) -> None:
    """Random weights propose nonsense at almost every step."""
    keep_hydrogens = Chem.SmilesParserParams()
    keep_hydrogens.removeHs = False
    found = generate(vocabulary, temperature, range(4), 100)
    assert sum(molecule.illegal for molecule in found) > 200
    assert max(molecule.tokens.shape[1] for molecule in found) > 12
    for decoded in found:
        assert decoded.status in ("complete", "truncated") and decoded.tokens.shape[1] > 1
        again = Chem.MolFromSmiles(Chem.MolToSmiles(decoded.molecule), keep_hydrogens)
        assert again is not None and again.GetNumAtoms() == decoded.tokens[3].sum()
        elements = [vocabulary.nodes[row[0] - FIRST_NODE].element for row in decoded.tokens.T if row[3]]
        assert [atom.GetAtomicNum() for atom in decoded.molecule.GetAtoms()] == elements
        assert decoded.molecule.GetNumBonds() == (decoded.tokens[3] == 0).sum()
        assert Chem.GetFormalCharge(decoded.molecule) == 0


def test_a_model_with_few_codes_fills_them_up() -> None:
    found = generate(AROMATIC, 1.0, range(3), 30, max_atoms=5, code_size=6)
    assert max(int(decoded.tokens[3].sum()) for decoded in found) == 5
    assert {decoded.status for decoded in found} == {"complete"}


def test_a_vocabulary_without_a_possible_bond_gives_single_atoms() -> None:
    for decoded in generate(NO_BOND, 1.0, range(1), 20):
        assert decoded.status == "complete" and decoded.tokens.shape == (4, 1)
        assert decoded.illegal == 1 and decoded.molecule.GetNumAtoms() == 1


NEUTRAL = [
    *SMILES,
    *RINGS,
    "Cn1cnc2c1c(=O)n(C)c(=O)n2C",
    "c1ccc2cccc-2cc1",
    "C[Si](C)(C)C",
    "CP(C)(=O)c1ccoc1",
    "S=C=S",
]


def test_real_molecules_are_legal_at_every_step() -> None:
    vocabulary = Vocabulary.faithful(collect_bonds(NEUTRAL))
    for smiles in NEUTRAL:
        tokens = Tokenizer(vocabulary)(smiles)[0]
        first, end = int(tokens[0, 0]) - FIRST_NODE, 1
        molecules = ConstrainedMolecules(vocabulary, torch.tensor([first]), 128, 16.0)
        for token, i, j, node in tokens.T.tolist():
            if node:
                continue
            new = tokens[0, (tokens[3] == 1) & (tokens[1] == j)][0] - FIRST_NODE
            step = edge(token - vocabulary.first_edge + 1, i, j, int(new))
            assert molecules.is_valid_edge(step), smiles
            molecules.add(step, torch.tensor([True]))
            end = max(end, j)
        assert int(molecules.present) == int(tokens[3].sum()) == end + 1


@pytest.mark.parametrize("rules", ["strict", "flexible"])
def test_published_repairs_fail_where_rdkit_does(rules: str) -> None:
    config = DecodingConfig(constrained=False, rules=rules, fix_aromatic=True, temperature=1.0, max_edges=12)
    plain = DecodingConfig(constrained=False, rules=rules, temperature=1.0, max_edges=12)
    failed = 0
    for seed in range(5):
        model, words = talkative(seed, AROMATIC, peak=1), torch.randn(60, 3, 32, generator=torch.Generator())
        both = [decode(model, words, config=c, generator=torch.Generator().manual_seed(seed)) for c in (config, plain)]
        for ours, written in zip(*both, strict=True):
            assert np.array_equal(ours.tokens, written.tokens) and ours.illegal >= written.illegal
            if written.status == "invalid":
                assert ours.status == "invalid" and ours.molecule is None
                continue
            try:
                expected = to_molecule(written.tokens, AROMATIC, "fixed")
            except ModelError:
                failed += 1
                assert ours.status == "invalid" and ours.molecule is None
            else:
                assert ours.status == written.status
                assert Chem.MolToSmiles(ours.molecule) == Chem.MolToSmiles(expected)
    assert failed > 0 or rules == "strict"
