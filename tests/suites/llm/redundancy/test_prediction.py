"""The predictor on made-up mixtures whose truth is known."""

import math

import numpy as np
import pytest

from sparsebench.suites.llm.redundancy.prediction import FLOOR, Point, leave_out, log_loss, predict


def mixtures(slope: float, noise: float = 0.1, count: int = 12, layers: int = 4, seed: int = 0) -> list[Point]:
    """Losses whose logarithm rises by `slope` with the first measure; the second one says nothing."""
    generator = np.random.default_rng(seed)
    found = []
    for number in range(count):
        for _ in range(layers):
            told, other = generator.normal(size=2)
            loss = math.exp(-3 + slope * told + noise * generator.normal())
            found.append(Point(f"m{number}", f"o{number // 3}", {"told": told, "other": other}, loss))
    return found


def test_a_measure_that_tells_the_loss_is_found() -> None:
    points = mixtures(slope=1.0)
    both, alone, other = (leave_out(points, names) for names in (("told", "other"), ("told",), ("other",)))
    # The mean error of the noise is 0.08, that of the mean of the others 0.8.
    assert both.error == pytest.approx(0.08, abs=0.06) and alone.error == pytest.approx(0.08, abs=0.06)
    assert both.gain - both.gain_half_width > 0.4
    assert abs(other.gain) < 0.15 and both.groups == 12 and both.points == 48
    assert leave_out(points, ("told",), by="origin").groups == 4


def test_what_says_nothing_is_not_found_more_often_than_by_chance() -> None:
    """No interval of forty should lie above 0 but by chance: 1 expected at 2.5 %, more than 4 once in 200."""
    found = [leave_out(mixtures(0.0, seed=seed, count=6), ("told", "other")) for seed in range(40)]
    assert sum(errors.gain - errors.gain_half_width > 0 for errors in found) <= 4
    assert float(np.mean([errors.gain for errors in found])) < 0


def test_a_mixture_counts_once_however_many_layers_it_has() -> None:
    """The mean of two mixtures is that of their own means."""
    points = [Point("a", "a", {}, math.e)] + [Point("b", "b", {}, math.e**3)] * 9
    assert predict(points, points[:2], ()) == pytest.approx([2.0, 2.0])


def test_ridge_is_the_closed_form_and_a_constant_measure_tells_nothing() -> None:
    """Two mixtures at -1 and 1 standard deviations: the slope of least squares, 1, times 2 / (2 + 1)."""
    points = [Point("a", "a", {"x": 1.0, "c": 5.0}, math.exp(1)), Point("b", "b", {"x": 3.0, "c": 5.0}, math.exp(3))]
    asked = [Point("d", "d", {"x": 4.0, "c": 7.0}, 1.0)]
    assert predict(points, asked, ("x", "c")) == pytest.approx([2 + 2 * 2 / 3])


def test_small_losses_and_few_groups() -> None:
    assert log_loss(Point("a", "a", {}, -0.1)) == math.log(FLOOR)
    with pytest.raises(ValueError, match="2 of each mixture to leave out: it takes three"):
        leave_out(mixtures(1.0, count=2), ())
