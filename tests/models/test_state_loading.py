"""What a module may do before torch loads its state: take another form, take names out, say what does not fit."""

import pytest
import torch
from torch import nn

from sparsebench.models.state_loading import PreparesLoading


class Growing(PreparesLoading):
    """As long as the state that it loads, which also says a length."""

    def __init__(self, length: int) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(length))

    def prepare_loading(self, state, prefix, metadata, problems):
        length = state.pop(f"{prefix}length", None)
        if length is None:
            problems.missing.append(f"{prefix}length")
        elif length < 0:
            problems.errors.append(f"{prefix}length is {length}")
        else:
            self.weight = nn.Parameter(torch.zeros(length))


def test_the_form_is_that_of_the_state_which_stays_as_it_was() -> None:
    model = nn.Sequential(Growing(2))
    state = {"0.weight": torch.arange(3.0), "0.length": 3}
    model.load_state_dict(state)
    assert model[0].weight.tolist() == [0, 1, 2]
    assert state.keys() == {"0.weight", "0.length"}


class Saying(nn.Module):
    """Writes into the metadata of its state."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def _save_to_state_dict(self, destination, prefix, keep_vars):
        super()._save_to_state_dict(destination, prefix, keep_vars)
        destination._metadata[prefix[:-1]]["said"] = 7


class Hearing(PreparesLoading):
    """Notes the metadata."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(1))

    def prepare_loading(self, state, prefix, metadata, problems):
        self.heard = metadata.get("said")


def test_the_metadata_of_a_state_is_passed_on() -> None:
    model = nn.Sequential(Hearing())
    model.load_state_dict(nn.Sequential(Saying()).state_dict())
    assert model[0].heard == 7
    model.load_state_dict({"0.weight": torch.ones(1)})
    assert model[0].heard is None


def test_what_does_not_fit_is_said() -> None:
    with pytest.raises(RuntimeError, match=r'Missing key\(s\).*"length"'):
        Growing(1).load_state_dict({"weight": torch.zeros(1)})
    with pytest.raises(RuntimeError, match="length is -1"):
        Growing(1).load_state_dict({"weight": torch.zeros(1), "length": -1})
