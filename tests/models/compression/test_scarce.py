import warnings

import pytest

from sparsebench.models.compression.scarce import ScarceCalibrationWarning, is_scarce, warn_scarce


def test_a_quarter_of_the_inputs_is_enough() -> None:
    assert is_scarce(7, 32) and not is_scarce(8, 32) and is_scarce(0, 1)


def test_the_first_are_named_and_the_others_counted() -> None:
    found = [(f"layers.{number}.up", number, 64) for number in range(5)]
    with pytest.warns(ScarceCalibrationWarning, match=r"layers\.2\.up \(2 for 64\), and 2 more: pass more or longer"):
        warn_scarce(found)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        warn_scarce([])
