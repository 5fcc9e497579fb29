from math import log

import numpy as np
import pytest
import torch

from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig
from sparsebench.models.graphsgpt.model.heads import Predictions
from sparsebench.models.graphsgpt.model.losses import losses, slots, targets
from sparsebench.models.graphsgpt.tokens.batch import collate
from sparsebench.models.graphsgpt.tokens.tokenizer import Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary

from ..model_cases import ATOMS, MIXED, batch, faithful, small

TWO = Vocabulary.improved([(6, 0), (8, 0)])  # tokens: C 2, O 3, single 4, double 5, triple 6, new fragment 7
ACETALDEHYDE = np.array([[2, 0, 0, 1], [4, 0, 1, 0], [2, 1, 1, 1], [5, 1, 2, 0], [3, 2, 2, 1]], dtype=np.int16).T
CYCLOPROPANE = np.array(
    [[2, 0, 0, 1], [4, 0, 1, 0], [2, 1, 1, 1], [4, 1, 2, 0], [2, 2, 2, 1], [4, 0, 2, 0]], dtype=np.int16
).T
METHANE = np.array([[2, 0, 0, 1]], dtype=np.int16).T
NOTHING = np.zeros((4, 0), dtype=np.int16)


def test_targets_by_hand() -> None:
    target = targets(collate([ACETALDEHYDE, NOTHING, METHANE, CYCLOPROPANE]), len(TWO.nodes))
    assert target.read.sum(1).tolist() == [3, 0, 1, 4]
    assert target.read[0].tolist() == [True, False, True, False, True, False, False]
    assert target.bond.tolist() == [1, 2, 0, 0, 1, 1, 1, 0]
    assert target.begin.tolist() == [0, 1, -1, -1, 0, 1, 0, -1]
    assert target.end.tolist() == [1, 2, -1, -1, 1, 2, 2, -1]
    assert target.present.tolist() == [1, 2, -1, -1, 1, 2, 3, -1]
    assert target.atom.tolist() == [0, 1, -1, -1, 0, 0, -1, -1]
    assert target.first_atom.tolist() == [0, 0, 0]


def test_a_new_end_is_the_next_free_slot() -> None:
    """The tokens of real molecules: a new atom's class is told exactly where the end equals the number of atoms."""
    tokens = batch()
    target = targets(tokens, len(ATOMS))
    new = target.end == target.present
    assert torch.equal(new & (target.begin != -1), target.atom != -1)
    assert (target.end <= target.present).all()
    assert int((target.atom != -1).sum()) == int((tokens.is_node & tokens.mask).sum()) - len(MIXED)


def predicted() -> Predictions:
    """Of acetaldehyde: logits and cosines whose losses can be written down."""
    bond = torch.zeros(3, 5)
    bond[0, 1], bond[2, 0] = log(4), log(3)
    begin, end, atom = torch.zeros(3, 4), torch.zeros(3, 4), torch.zeros(3, 2)
    begin[:, 3] = end[:, 3] = 1  # slots that no edge can take
    begin[1, 1] = log(3) / 16
    atom[1, 1] = log(3)
    return Predictions(bond=bond, begin=begin, end=end, atom=atom)


def test_losses_by_hand() -> None:
    config = GraphsGPTConfig.of(TWO, max_atoms=4, code_size=4)
    target = targets(collate([ACETALDEHYDE]), len(TWO.nodes))
    found = losses(predicted(), torch.tensor([[log(2), 0.0]]), target, torch.eye(4), config)
    expected = {
        "bond": (log(2) + log(5) + log(7 / 3)) / 3,
        "first_atom": log(3 / 2),
        "connection": log(4 / 3) / 2 + (log(2) + log(3)) / 2,
        "atom": (log(2) + log(4 / 3)) / 2,
    }
    for name, value in expected.items():
        assert getattr(found, name).item() == pytest.approx(value, rel=1e-6), name
    assert found.total.item() == pytest.approx(sum(expected.values()), rel=1e-6)


def test_contrastive_loss_by_hand() -> None:
    config = GraphsGPTConfig.of(TWO, max_atoms=3, code_size=3, connection_loss="contrastive")
    target = targets(collate([ACETALDEHYDE]), len(TWO.nodes))
    cosines = torch.zeros(2, 3, 3)
    cosines[0, 0, 0], cosines[0, 1, 1] = 0.5, 0.25
    cosines[1, 0, 1], cosines[1, 1, 2] = 1.0, 0.75
    codes = torch.tensor([[2.0, 0, 0], [0, 1, 0], [0.6, 0.8, 0]])
    shown = predicted()._replace(begin=cosines[0], end=cosines[1], atom=None)
    found = losses(shown, torch.tensor([[log(2), 0.0]]), target, codes, config)
    assert found.connection.item() == pytest.approx(1 - 2.5 / 4 + (0 + 0.6 + 0.8) / 3, rel=1e-6)
    assert found.atom is None


def test_contrastive_loss_leaves_codes_without_atoms_alone() -> None:
    """The largest molecule has three atoms: a fourth code may lie where it will, and has no gradient."""
    config = GraphsGPTConfig.of(TWO, max_atoms=4, code_size=4, connection_loss="contrastive")
    target = targets(collate([ACETALDEHYDE, METHANE]), len(TWO.nodes))
    shown = Predictions(bond=torch.zeros(4, 5), begin=torch.zeros(4, 4), end=torch.zeros(4, 4), atom=None)
    codes = torch.tensor([[2.0, 0, 0, 0], [0, 1, 0, 0], [0.6, 0.8, 0, 0], [1, 0, 0, 0]], requires_grad=True)
    found = losses(shown, torch.zeros(2, 2), target, codes, config)
    assert found.connection.item() == pytest.approx(1 + (0 + 0.6 + 0.8) / 3, rel=1e-6)
    found.connection.backward()
    assert codes.grad is not None and codes.grad[:3].any() and not codes.grad[3].any()


def test_slots_beyond_the_next_free_one_are_out() -> None:
    logits = slots(torch.full((2, 4), 0.5), torch.tensor([1, 3]), 16.0)
    assert logits.tolist() == [[8, -torch.inf, -torch.inf, -torch.inf], [8, 8, 8, -torch.inf]]


@pytest.mark.parametrize("molecules", [[METHANE], [METHANE, NOTHING]])
def test_molecules_without_a_bond_train(molecules: list[np.ndarray]) -> None:
    model = small()
    out = model(collate(molecules))
    out.loss.backward()
    assert torch.isfinite(out.loss) and out.losses.connection == 0 and out.losses.atom == 0
    assert all(torch.isfinite(p.grad).all() for p in model.parameters() if p.grad is not None)


def test_every_weight_of_the_default_model_learns() -> None:
    model = small()
    model(batch()).loss.backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []


def test_the_published_choices_have_no_atom_loss_and_the_contrastive_one() -> None:
    model = faithful()
    vocabulary = Vocabulary.from_dict(model.config.vocabulary)
    out = model(Tokenizer(vocabulary)(["CCO", "c1ccccc1C=O"]).batch(), generator=torch.Generator().manual_seed(0))
    assert out.losses.atom is None and out.predictions.atom is None
    right = 0.0
    for cosines, ids in ((out.predictions.begin, out.targets.begin), (out.predictions.end, out.targets.end)):
        edges = ids != -1
        right += cosines[edges, ids[edges]].sum().item() / (2 * int(edges.sum()))
    assert out.losses.connection.item() == pytest.approx(1 - right, abs=1e-4)  # codes are orthonormal
