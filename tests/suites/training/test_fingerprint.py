"""What tells one training from another."""

import json
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import nn

from sparsebench.suites.training.fingerprint import data_digest, fingerprint, weights_digest
from sparsebench.suites.training.groups import Group
from sparsebench.suites.training.settings import TrainSettings

from .toy import Numbers


def identity(
    model: nn.Module, data: Any, change: Callable[[dict[str, Any]], None] = lambda _: None, **settings: Any
) -> dict[str, Any]:
    fields = {"learning_rate": 0.1, "weight_decay": 0.1}
    change(fields)
    group = Group.adamw("model", model, **fields)
    found = fingerprint(
        {"model": model}, [group], {"model": group.build()}, TrainSettings(**{"steps": 3, **settings}), "4 examples"
    )
    return {**found, "data": data_digest(data)}


def test_equal_trainings_are_equal_and_others_are_not() -> None:
    model = nn.Linear(1, 1)
    first = identity(model, Numbers())
    assert first == identity(model, Numbers()) == json.loads(json.dumps(first))
    assert first != identity(model, Numbers(), steps=4)
    assert first != identity(nn.Linear(1, 1), Numbers())
    for field, value in (("learning_rate", 0.2), ("weight_decay", 0.2), ("betas", (0.8, 0.9)), ("clip", 1.0)):
        assert first != identity(model, Numbers(), lambda fields, f=field, v=value: fields.update({f: v})), field
    other = Numbers()
    other.train[5] = (torch.tensor([5.0]), torch.tensor([10.5]))
    assert first != identity(model, other)


def test_weights_of_any_type_have_a_digest() -> None:
    model = nn.BatchNorm1d(2).to(torch.bfloat16)
    before = weights_digest(model)
    model.num_batches_tracked += 1
    assert weights_digest(model) != before


def test_examples_of_many_kinds_have_a_digest() -> None:
    class Examples:
        def __init__(self, *train: Any) -> None:
            self.train = train

    values = ["a", b"a", 1, 1.0, None, [1, [2]], [[1], 2], {"a": 1}, np.arange(2), torch.arange(2), torch.ones(())]
    digests = {data_digest(Examples(value)) for value in values}
    assert len(digests) == len(values)
    assert data_digest(Examples(torch.zeros(2, 3))) != data_digest(Examples(torch.zeros(3, 2)))
    with pytest.raises(TypeError, match=r"fingerprint\(\)"):
        data_digest(Examples(object()))


def test_a_stream_must_say_which_data_it_gives() -> None:
    class Named(list):
        def fingerprint(self) -> str:
            return "moses"

    assert data_digest(Named()) == "moses"
    with pytest.raises(TypeError, match="another corpus in the same folder"):
        data_digest(iter([1]))
