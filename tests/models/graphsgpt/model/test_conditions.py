"""Requests: absent means absent, magnitudes stay visible, the published encoding loses them."""

import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.model.conditions import value_features
from sparsebench.models.graphsgpt.model.configuration import GraphsGPTConfig

from ..model_cases import batch, small

PROPERTIES = {"logp": (2.0, 1.0), "qed": (0.7, 0.1), "tpsa": (60.0, 20.0)}
NAN = float("nan")


def wanted(*rows: tuple[float, float, float]) -> torch.Tensor:
    return torch.tensor(rows)


@torch.no_grad()
def test_absent_properties_leave_no_trace() -> None:
    model = small(properties=PROPERTIES).encoder
    scaffold = batch(["c1ccccc1"])
    alone = model(scaffold, wanted=wanted((2.5, NAN, NAN)))
    other = model.condition
    assert other is not None
    for layer in list(other.values)[1:]:
        layer.weight.normal_()  # what encodes the absent ones does not matter
    torch.testing.assert_close(model(scaffold, wanted=wanted((2.5, NAN, NAN))), alone)
    assert not torch.allclose(model(scaffold, wanted=wanted((2.5, 0.8, NAN))), alone)


@torch.no_grad()
def test_a_request_is_no_molecule_and_needs_none() -> None:
    model = small(properties=PROPERTIES).encoder
    scaffold, nothing = batch(["c1ccccc1"]), batch([""])
    assert len(nothing) == 1 and not nothing.mask.any()
    free = model(nothing, wanted=wanted((NAN, NAN, NAN)))
    assert torch.isfinite(free).all()
    assert not torch.allclose(model(scaffold, wanted=wanted((NAN, NAN, NAN))), model(scaffold))
    together = model(batch(["c1ccccc1", ""]), wanted=wanted((2.5, NAN, NAN), (NAN, NAN, NAN)))
    torch.testing.assert_close(together[1:], free, atol=1e-5, rtol=0)


@torch.no_grad()
def test_values_of_one_sign_differ_unless_faithful() -> None:
    for encoding, differ in (("magnitude", True), ("faithful", False)):
        condition = small(properties=PROPERTIES, property_encoding=encoding).encoder.condition
        assert condition is not None
        tokens, present = condition(wanted((3.0, NAN, 60.0), (6.0, NAN, 80.0)))
        assert present.tolist() == [[True, False, True]] * 2
        low, high = tokens[:, 0] - condition.positions.table()[0]
        assert (torch.cosine_similarity(low, high, dim=0) < 0.99) == differ


def test_features_of_a_value() -> None:
    assert value_features(torch.zeros(2)).abs().max() == 0
    assert value_features(torch.linspace(-3, 3, 50)).unique(dim=0).shape[0] == 50


def test_models_without_properties_refuse_requests() -> None:
    with pytest.raises(ModelError, match="takes no requests"):
        small().encoder(batch(["C"]), wanted=torch.zeros(1, 3))
    with pytest.raises(ModelError, match=r"shape \(1, 2\), not \(1, 3\)"):
        small(properties=PROPERTIES).encoder(batch(["C"]), wanted=torch.zeros(1, 2))
    with pytest.raises(ModelError, match="deviation above 0"):
        GraphsGPTConfig(properties={"logp": (1.0, 0.0)})
    with pytest.raises(ModelError, match="did you mean 'faithful'"):
        GraphsGPTConfig(property_encoding="faithfull")
