"""Bodies of the molecules suite: features, errors that name the row, seeds, and batches of one atom."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.molecules.dmpnn import DMPNN
from sparsebench.models.molecules.gin import GIN
from sparsebench.suites.molecules.backbones import dmpnn, ecfp4, gin, rdkit_descriptors, tiny
from sparsebench.suites.molecules.features.graph import GraphBody
from sparsebench.suites.prediction.feature_extractor import FeatureExtractor

from .bodies import SMILES, features, generator

LOADERS = [dmpnn.load, ecfp4.load, gin.load, rdkit_descriptors.load, tiny.load]


@pytest.mark.parametrize("load", LOADERS)
def test_one_row_of_features_per_molecule_in_any_order(load: Callable[..., FeatureExtractor]):
    body = load(generator())
    got = features(body, SMILES)
    assert got.shape == (len(SMILES), body.width)
    torch.testing.assert_close(features(body, SMILES[::-1]), got.flip(0))


@pytest.mark.parametrize("load", LOADERS)
def test_an_invalid_smiles_is_named_with_its_row(load: Callable[..., FeatureExtractor]):
    with pytest.raises(ValueError, match=r"row 2: 'C1CC' is not a valid SMILES"):
        load(generator()).encode(["CCO", "CCN", "C1CC"])


def test_gin_takes_width_and_layers():
    body = gin.load(generator(), "24x4")
    assert isinstance(body, GraphBody) and isinstance(body.network, GIN)
    assert (body.width, len(body.network.convs)) == (24, 4)


def test_dmpnn_takes_width_and_depth():
    body = dmpnn.load(generator(), "24x4")
    assert isinstance(body, GraphBody) and isinstance(body.network, DMPNN)
    assert (body.width, body.network.depth) == (24, 4)
    with pytest.raises(ValueError, match="wants width x layers, as in dmpnn:300x3, not '24'"):
        dmpnn.load(generator(), "24")


@pytest.mark.parametrize("argument", ["300", "0x5", "300x", "axb"])
def test_gin_explains_a_wrong_argument(argument: str):
    with pytest.raises(ValueError, match="wants width x layers, as in gin:300x5"):
        gin.load(generator(), argument)


@pytest.mark.parametrize("load", [ecfp4.load, rdkit_descriptors.load, tiny.load])
def test_an_argument_where_there_is_nothing_to_choose(load: Callable[..., FeatureExtractor]):
    with pytest.raises(ValueError, match=r"takes no argument.*, not '3'"):
        load(generator(), "3")
