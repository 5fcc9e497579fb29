"""Modes come back module by module, after an error too."""

import pytest
from torch import nn

from sparsebench.models.evaluation import evaluation_mode


def test_every_module_gets_its_own_mode_back() -> None:
    first = nn.Sequential(nn.Linear(1, 1), nn.Dropout()).train()
    first[0].eval()  # frozen, in a model in training
    second = nn.Dropout().eval()
    with pytest.raises(KeyError), evaluation_mode(first, second):
        assert not any(module.training for module in (*first.modules(), second))
        first.add_module("new", nn.Dropout().eval())
        second.train()
        raise KeyError
    assert first.training and first[1].training and not first[0].training and not second.training
    assert first.new.training  # as the model was
