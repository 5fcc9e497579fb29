"""Steps of a row that are timed, and the arithmetic from them to a cell."""

from dataclasses import replace
from typing import Any

import pytest
import torch

from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.methods.adapters.adaptformer import AdaptFormer
from sparsebench.suites.methods.adapters.bitfit import BitFit
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.vtab.backbones import tiny
from sparsebench.suites.vtab.pace import Pace, Sizes, pace_of, seconds_of, trials_of
from sparsebench.suites.vtab.tasks.synthetic import Blobs

from ..runner.cells import INFO


def info(**budget: Any) -> CellInfo:
    named = replace(INFO, suite="vtab", task="blobs", group="smoke", method="bitfit", label="BitFit")
    return replace(named, budget={"batch_size": 64, **budget})


def test_trials_are_those_of_the_choice() -> None:
    assert trials_of([BitFit()]) == 3
    assert trials_of([AdaptFormer()]) == 3 + 4, "the scale of the row itself was tried with the learning rates"
    assert trials_of([LinearProbe(penalties=(0.1, 1.0))]) == 2


@pytest.mark.parametrize("method", [BitFit(), LinearProbe(penalties=(0.1,))])
def test_a_row_is_timed_on_a_few_images(method: Any) -> None:
    pace = pace_of(Blobs(), [method], {"tiny": tiny.load}, info(epochs=100), torch.device("cpu"))
    assert (pace.step is None) == isinstance(method, LinearProbe)
    assert 0 < pace.forward < 60 and pace.images == 4
    tokens, width, depth = 17, 32, 2
    assert 2 * depth * 12 * width**2 * tokens < pace.flops < 4 * depth * 12 * width**2 * tokens


def test_several_methods_at_once_are_not_timed() -> None:
    with pytest.raises(ValueError, match="a chain of several methods is not timed"):
        pace_of(Blobs(), [BitFit(), BitFit()], {"tiny": tiny.load}, info(), torch.device("cpu"))


PACE = Pace(step=0.5, forward=0.125, flops=1.0, images=4, trials=3)
SIZES = Sizes(train=800, val=200, test=711)


def test_seconds_of_a_cell() -> None:
    """Batches of 64: 12 of 800 images and 15 of 1,000, in each epoch."""
    trained = 3 * 2 * 12 * 64 + 2 * 15 * 64
    assert seconds_of(PACE, info(epochs=2), SIZES) == 0.5 * trained + 0.125 * (3 * 200 + 711)
    assert seconds_of(PACE, info(steps=7), SIZES) == 0.5 * 4 * 7 * 64 + 0.125 * (3 * 200 + 711)
    limited = info(steps=7, test_examples=11)
    assert seconds_of(PACE, limited, SIZES) == 0.5 * 4 * 7 * 64 + 0.125 * (3 * 200 + 11)
    probe = replace(PACE, step=None, trials=5)
    assert seconds_of(probe, info(epochs=2), SIZES) == 0.125 * (1000 + 1000 + 711), "features are computed once"
