import json
import math
import re
from pathlib import Path

import pytest

from sparsebench.data.errors import MixtureError
from sparsebench.data.mixtures.signal import Signal
from sparsebench.data.mixtures.strategies.reference_loss import ReferenceLoss
from sparsebench.data.mixtures.strategies.static import REFERENCE_LOSSES, SLIMPAJAMA

OFFICIAL = json.loads(Path(__file__).with_name("moe_sft_official.json").read_text(encoding="utf-8"))
NAMES = ("a", "b", "c")
REFERENCE = {"a": 1.0, "b": 1.0, "c": 2.0}
LOSSES = {"a": 1.5, "b": 0.5, "c": 2.0}


def test_the_official_callback():
    names, case = OFFICIAL["names"], OFFICIAL["reference_loss"]
    reference = dict(zip(names, case["reference"], strict=True))
    start = dict(zip(names, case["start"], strict=True))
    strategy = ReferenceLoss(names, reference, eta=case["eta"], smoothing=case["c"], start=start)
    assert len(case["rounds"]) == 3
    for losses, deltas, weights in case["rounds"]:
        strategy.update(Signal(losses=dict(zip(names, losses, strict=True))))
        assert list(strategy.weights.values()) == pytest.approx(weights, abs=1e-12)
        assert list(strategy.seen["deltas"].values()) == pytest.approx(deltas, abs=1e-12)


def test_the_regression_vector_of_sheared_llama_as_llama_moe_released_it():
    """Losses of its own example, shares of LLaMA; made with float32, and so to six digits."""
    losses: dict[str, float] = dict(zip(SLIMPAJAMA, (1.728, 2.117, 0.705, 1.572, 2.071, 1.287, 1.491), strict=True))
    strategy = ReferenceLoss(SLIMPAJAMA, REFERENCE_LOSSES["llama-2-7b"], start="llama")
    weights = strategy.update(Signal(losses=losses))
    expected = [0.668748, 0.150602, 0.043612, 0.042559, 0.050124, 0.025215, 0.019140]
    assert list(weights.values()) == pytest.approx(expected, abs=6e-7)


def test_as_released_a_data_set_below_the_reference_loses_weight():
    weights = ReferenceLoss(NAMES, REFERENCE, smoothing=0.0).update(Signal(losses=LOSSES))
    total = math.exp(0.5) + math.exp(-0.5) + 1
    assert weights == pytest.approx(
        {"a": math.exp(0.5) / total, "b": math.exp(-0.5) / total, "c": 1 / total}, abs=1e-12
    )


def test_clamped_it_counts_as_equal_to_the_reference():
    """w * exp(max(0, loss - reference)) over its sum."""
    strategy = ReferenceLoss(NAMES, REFERENCE, clamp=True)
    weights = strategy.update(Signal(losses=LOSSES))
    total = math.exp(0.5) + 2
    assert weights == pytest.approx({"a": math.exp(0.5) / total, "b": 1 / total, "c": 1 / total}, abs=1e-12)
    assert strategy.smoothing == 0


def test_everywhere_at_the_reference_nothing_moves():
    for clamp in (False, True):
        weights = ReferenceLoss(NAMES, REFERENCE, clamp=clamp).update(Signal(losses=REFERENCE))
        assert weights == pytest.approx(dict.fromkeys(NAMES, 1 / 3), abs=1e-12)


def test_bad_references():
    with pytest.raises(MixtureError, match="reference losses: none for data set 'c'"):
        ReferenceLoss(NAMES, {"a": 1.0, "b": 1.0})
    for value in (math.nan, 1e308):
        with pytest.raises(
            MixtureError, match=rf"the reference loss of data set 'b' is {re.escape(str(value))}, in nats"
        ):
            ReferenceLoss(NAMES, {**REFERENCE, "b": value})
    with pytest.raises(MixtureError, match="eta is 0"):
        ReferenceLoss(NAMES, REFERENCE, eta=0)
