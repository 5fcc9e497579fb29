"""Weights that come back when something goes wrong, to the last bit."""

import pytest
import torch

from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.slimming.undo import Undo

from .mixtures import mixture


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "converted"])
def test_an_error_brings_all_weights_back(name: str, dtype: torch.dtype) -> None:
    model = mixture(name).to(dtype)
    before = {key: tensor.clone() for key, tensor in model.state_dict().items()}
    with pytest.raises(KeyboardInterrupt), Undo() as undo:
        for one in linear_maps(model):
            undo.keep(one)
            one.write(torch.full(one.shape, 7.0))
            undo.keep(one)  # twice: the oldest counts
            one.write(torch.zeros(one.shape))
        raise KeyboardInterrupt
    for key, tensor in model.state_dict().items():
        assert torch.equal(tensor, before[key])


def test_without_an_error_the_change_stays() -> None:
    one = linear_maps(mixture("mixtral"))[0]
    with Undo() as undo:
        undo.keep(one)
        one.write(torch.zeros(one.shape))
    assert not one.weight.any()


def test_without_it_an_error_leaves_what_was_written() -> None:
    one = linear_maps(mixture("mixtral"))[0]
    with pytest.raises(KeyboardInterrupt), Undo(active=False) as undo:
        undo.keep(one)
        one.write(torch.zeros(one.shape))
        raise KeyboardInterrupt
    assert not one.weight.any()
