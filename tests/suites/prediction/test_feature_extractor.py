"""A feature extractor and its linear head."""

from collections.abc import Callable

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.suites.prediction.feature_extractor import LinearHeadModel
from sparsebench.suites.vtab.backbones import tiny


@pytest.fixture
def make_predictor() -> Callable[[], LinearHeadModel]:
    def make() -> LinearHeadModel:
        generator = torch.Generator().manual_seed(0)
        return LinearHeadModel(tiny.load(generator), 3, generator)

    return make


def test_anatomy_sees_through_a_predictor(make_predictor: Callable[[], LinearHeadModel]) -> None:
    model = make_predictor()
    anatomy = describe(model)
    assert anatomy.model is model and anatomy.head is not None and anatomy.head.get() is model.head
    assert anatomy.head.path == "head"
    assert anatomy.blocks[0].linears[0].path == "body.network.blocks.0.attn.qkv"
