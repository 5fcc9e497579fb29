"""Features of a graph network: weights from the generator, and batches of one atom."""

import torch

from sparsebench.suites.molecules.backbones import tiny

from ..bodies import SMILES, features, generator


def test_weights_come_from_the_generator():
    first, again, other = (features(tiny.load(generator(seed)), SMILES) for seed in (0, 0, 1))
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_training_batch_of_one_atom_has_finite_features_and_leaves_training_on():
    body = tiny.load(generator()).train()
    got = body(body.collate(list(body.encode(["C"]))))
    assert torch.isfinite(got).all()
    got.sum().backward()
    assert all(module.training for module in body.modules())
