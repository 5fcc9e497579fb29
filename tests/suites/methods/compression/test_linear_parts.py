"""Which backbones methods on the linear maps of parts can serve."""

import pytest
import torch

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.contracts.traits import ATTENTION, CALIBRATION_DATA, EXPERTS, FFN
from sparsebench.suites.llm.backbones import tiny, tiny_mixture
from sparsebench.suites.methods.compression._linear_parts import check_has_parts, traits_for


def test_parts_need_their_traits_and_data_where_they_are_looked_at() -> None:
    assert traits_for(("experts", "shared", "router"), looks_at_data=False) == {EXPERTS}
    assert traits_for(("attention", "ffn"), looks_at_data=True) == {ATTENTION, FFN, CALIBRATION_DATA}


def test_a_model_without_the_part_is_not_applicable() -> None:
    check_has_parts(tiny_mixture.load(torch.Generator().manual_seed(0)).model, ("experts", "attention"))
    with pytest.raises(NotApplicable):
        check_has_parts(tiny.load(torch.Generator().manual_seed(0)).model, ("experts",))
