"""The panel of option scores: likelihoods, what a row differs by from the first one, what it refuses."""

import math

import pytest

from sparsebench.reports.panels.option_scores import PANEL, OptionScores, to_details
from sparsebench.reports.records.record import RecordError

from .pages import cells, section

FIRST = OptionScores(((math.log(3.0), 0.0), (0.0, math.log(3.0))), (0, 0))
OTHER = OptionScores(((0.0, 0.0), (0.0, math.log(3.0))), (0, 0))


def test_measures_by_hand() -> None:
    assert FIRST.gold_nll() == pytest.approx([math.log(4 / 3), math.log(4)])
    assert FIRST.margins() == pytest.approx([math.log(3), -math.log(3)])
    divergence = 0.75 * math.log(0.75 / 0.5) + 0.25 * math.log(0.25 / 0.5)
    assert OTHER.divergence_from(FIRST) == pytest.approx([divergence, 0.0])
    assert OTHER.agreement(FIRST) == 1.0  # of equal scores the first one counts
    assert OptionScores(((0.0, 1.0), (1.0, 0.0)), (0, 0)).agreement(FIRST) == 0.0


def test_rows_are_compared_with_the_first_on_the_same_questions(make, tmp_path):
    others = OptionScores(((0.0, 1.0, 2.0), (0.0, 1.0, 2.0)), (0, 0))
    records = [
        make.record("row 00", task="one", details=to_details(FIRST)),
        make.record("row 01", task="one", details=to_details(OTHER)),
        make.record("row 02", task="one", details=to_details(others)),
    ]
    found = cells(section("Likelihood of every option", tmp_path, *records))
    assert found[0:2] == ["1  row 00", "2"]
    assert found[4:6] == ["–", "–"]
    assert found[10].startswith("0.065 ± 0.065")
    assert found[11] == "100.0 %"
    assert found[16:18] == ["–", "–"]


def test_what_is_written_comes_back_rounded():
    assert PANEL.parse(to_details(OTHER)["option_scores"]).gold == OTHER.gold


def test_nothing_to_show():
    assert PANEL.show([]) is None


@pytest.mark.parametrize(
    ("scores", "gold"), [((), ()), (((0.0,),), (0,)), (((0.0, 1.0),), (2,)), (((0.0, math.nan),), (0,))]
)
def test_what_is_no_question_is_refused(scores, gold):
    with pytest.raises(RecordError):
        OptionScores(scores, gold)
