"""Decoders put together of tensors: what does not fit is refused."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.official.checkpoint import Checkpoint
from sparsebench.models.official.decoders import check_values, llama_of, required

from .folders import RECORDED, V1


def test_values() -> None:
    checkpoint = Checkpoint(RECORDED / V1)
    check_values(checkpoint, {"num_experts": 8, "not there": 3})
    assert required(checkpoint, "num_experts") == 8
    with pytest.raises(ModelError, match="num_experts=8; only 4 is known"):
        check_values(checkpoint, {"num_experts": 4})
    with pytest.raises(ModelError, match="does not say not there"):
        required(checkpoint, "not there")


def test_tensors_that_do_not_fit() -> None:
    tensors = {"lm_head.weight": torch.zeros(64, 32)}
    with pytest.raises(ModelError, match=r"does not fit its config\.json: tensors 20 missing, as model"):
        llama_of(Checkpoint(RECORDED / V1), 48, (), {}, {}, tensors)
