"""The panel of rest: scores by length, and how each row ended."""

import pytest

from sparsebench.reports.panels.rest import AT_REST, PANEL, Rest, Trained, to_details
from sparsebench.reports.records.record import RecordError

from .pages import cells, section


def rest(*scores: float, rested: bool = True) -> Rest:
    trained = tuple(
        Trained(length=10 * 2**number, score=score, seconds=1.0, flops=2.0) for number, score in enumerate(scores)
    )
    return Rest(metric="accuracy", unit="epochs", margin=0.01, rested=rested, trainings=trained)


def test_each_row_says_how_it_ended(make, tmp_path):
    records = [
        make.record("linear_probe", task="one"),
        make.record("adapter", task="one", details={"rest": to_details(rest(0.5, 0.505))}),
        make.record("idat", task="one", details={"rest": to_details(rest(0.5, 0.6, rested=False))}),
    ]
    page = section("Trained until it rests", tmp_path, *records)
    assert cells(page)[:6] == [
        *["2  adapter", "10: 0.500, 20: 0.505", "at rest after 20 epochs"],
        *["3  idat", "10: 0.500, 20: 0.600", "still gaining after 20 epochs"],
    ]
    assert "one: validation accuracy by length of training" in page and "Margin: 0.01." in page
    assert AT_REST in page


def test_nothing_to_show():
    assert PANEL.show([]) is None


def test_what_is_written_comes_back() -> None:
    assert PANEL.parse(to_details(rest(0.5, 0.6))) == rest(0.5, 0.6)


@pytest.mark.parametrize("lengths", [(), (2, 2), (4, 2)])
def test_lengths_that_do_not_grow_are_refused(lengths: tuple[int, ...]) -> None:
    trained = tuple(Trained(length=length, score=0.5, seconds=0.1, flops=3) for length in lengths)
    with pytest.raises(RecordError, match="no series of growing ones"):
        Rest(metric="accuracy", unit="epochs", margin=0.01, rested=True, trainings=trained)
