"""The choice on made scores: the cheapest row that is not shown to be worse, and how sure that is."""

import numpy as np
import pytest

from sparsebench.reports.statistics import Score, Side, example_scores
from sparsebench.suites.runner.fit.recommendation import Candidate, recommend

EXAMPLES = 200


def row(
    label: str, rates: list[float], price: float, role: str = "method", examples: int = EXAMPLES, changes: bool = False
) -> Candidate:
    """A row whose seeds are right on a fraction of the examples; rows are right on the same ones as far as they go.

    Several seeds are of a row that the seed `changes`; one may be.
    """
    scores = {}
    for seed, rate in enumerate(rates):
        hits = round(rate * examples)
        correct = np.zeros(examples)
        correct[:hits] = 1
        value = hits / examples
        stderr = (value * (1 - value) / (examples - 1)) ** 0.5
        columns = {"correct": correct.tolist()}
        scores[seed] = Score(
            value, stderr, examples, lambda columns=columns, value=value: example_scores("accuracy", value, columns)
        )
    stochastic = changes or len(rates) > 1
    return Candidate(label=label, backbone="b", role=role, validation=Side(scores, len(rates), stochastic), price=price)


GUESS = row("constant", [0.1], 1, "control")


def test_the_only_row_that_is_not_worse_is_sure() -> None:
    found = recommend([GUESS, row("cheap", [0.5], 2), row("dear", [0.9], 9)], True, EXAMPLES)
    assert (found.chosen.label, found.sureness) == ("dear", "sure")
    assert found.to_best is None


def test_the_cheapest_of_those_that_are_tied_is_chosen() -> None:
    rows = [GUESS, row("bad", [0.5], 2), row("cheap", [0.89], 3), row("dear", [0.9], 9)]
    found = recommend(rows, True, EXAMPLES)
    assert (found.chosen.label, found.best.label) == ("cheap", "dear")
    assert found.sureness == "not shown to be worse" and len(found.tied) == 2
    assert found.to_best is not None and found.to_best.estimate.mean == pytest.approx(-0.01)
    assert found.to_best.comparisons == 6, "corrected for all pairs of four rows"


def test_prices_within_a_tenth_are_equal_and_the_score_decides() -> None:
    rows = [GUESS, row("bad", [0.5], 2), row("forest", [0.88], 100), row("probe", [0.9], 110), row("big", [0.91], 111)]
    found = recommend(rows, True, EXAMPLES)
    assert (found.chosen.label, found.best.label) == ("probe", "big")
    assert found.by_price.startswith("the best of the cheapest") and found.by_price in found.reason


def test_nothing_is_told_where_no_row_is_worse() -> None:
    found = recommend([GUESS, row("cheap", [0.89], 3), row("dear", [0.9], 9)], True, EXAMPLES)
    assert (found.chosen.label, found.sureness) == ("cheap", "cannot tell")


def test_few_examples_tell_nothing_however_far_apart() -> None:
    rows = [
        row("constant", [0.1], 1, "control", 8),
        row("bad", [0.0], 2, examples=8),
        row("good", [1.0], 9, examples=8),
    ]
    found = recommend(rows, True, 8)
    assert found.sureness == "cannot tell" and "8 validation examples" in found.reason


def test_a_row_that_is_not_better_than_a_guess_tells_nothing() -> None:
    rows = [row("constant", [0.5], 1, "control"), row("worse", [0.2], 2), row("best", [0.51], 9)]
    found = recommend(rows, True, EXAMPLES)
    assert (found.chosen.label, found.sureness) == ("best", "cannot tell")
    assert "constant" in found.reason


def test_a_control_is_never_chosen_and_a_wide_spread_of_seeds_is_no_difference() -> None:
    rows = [row("guess", [0.95], 0, "control"), row("cheap", [0.2, 0.9, 0.5], 2), row("dear", [0.9], 9)]
    found = recommend(rows, True, EXAMPLES)
    assert found.chosen.label == "cheap" and found.sureness == "cannot tell"
    with pytest.raises(ValueError, match="no row"):
        recommend(rows[:1], True, EXAMPLES)


@pytest.mark.parametrize("forest", [0.7, 0.95])
def test_one_seed_is_no_tie_and_tells_nothing(forest: float) -> None:
    """The cheaper forest is recommended where it is the best row, not because one seed cannot show it to be worse."""
    rows = [GUESS, row("forest", [forest], 2, changes=True), row("probe", [0.9], 9), row("weak", [0.3], 9)]
    found = recommend(rows, True, EXAMPLES)
    assert found.chosen.label == found.best.label == ("forest" if forest > 0.9 else "probe")
    assert found.sureness == "cannot tell" and "one seed" in found.reason and found.lacks_seeds


def test_less_is_better_where_the_metric_says_so() -> None:
    rows = [row("constant", [0.9], 1, "control"), row("low", [0.1], 9), row("high", [0.5], 2)]
    found = recommend(rows, False, EXAMPLES)
    assert (found.chosen.label, found.sureness) == ("low", "sure")
