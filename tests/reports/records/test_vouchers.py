"""Lines of vouchers, and what they say together."""

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.records.store import StoreError
from sparsebench.reports.records.vouchers import FILE, Survey, Voucher, Vouchers, append

SURVEY = Survey(commit="c1", paths=[("a", "x", 3), ("b", "b", 2)], excluded={"no score (n/a)": 1})


def voucher(id: str, outcome: Any, **fields: Any) -> Voucher:
    about = {"processor_type": "a family", "libraries": [], "metrics": {"m": outcome}, "numbers": {}}
    about |= {"drawn": "path", "code": "a", "code_now": "x", "commit": "c1", "other_errors": False}
    return Voucher(**(about | {"id": id, "outcome": outcome, "reason": "", "seconds": 1.0} | fields))


def test_lines_come_back_as_they_were_written(tmp_path: Path) -> None:
    assert Vouchers(tmp_path).standing() is None
    one = voucher("1", "outside", numbers={"m": [1.0, None]}, libraries=["torch 2, 1 then"], reason="é")
    append(tmp_path, SURVEY)
    append(tmp_path, one)
    found = Vouchers(tmp_path)
    assert found.all == found.since_survey == [one]
    assert found.survey is not None and found.survey.is_of(SURVEY) and found.survey.records == 5


@pytest.mark.parametrize(
    ("outcomes", "state"),
    [
        ([], "open"),
        (["not run"], "open"),
        (["equal"], "covered"),
        (["rounding", "not run"], "covered"),
        (["undecided"], "undecided"),
        (["undecided", "equal"], "covered"),
        (["equal", "undecided"], "covered"),
        (["undecided", "outside"], "outside"),
        (["outside", "equal"], "outside"),
        (["equal", "outside"], "outside"),
    ],
)
def test_outside_stays_and_undecided_is_settled(tmp_path: Path, outcomes: list[str], state: str) -> None:
    """Of one record, whatever is found later."""
    append(tmp_path, SURVEY)
    for outcome in outcomes:
        append(tmp_path, voucher("1", outcome))
    found = Vouchers(tmp_path)
    assert found.state(("a", "x")) == state
    assert (("a", "x") in found.covered()) == (state == "covered")


def test_one_record_speaks_for_its_path_alone(tmp_path: Path) -> None:
    append(tmp_path, SURVEY)
    append(tmp_path, voucher("1", "equal", other_errors=True))
    append(tmp_path, voucher("2", "undecided"))
    append(tmp_path, voucher("3", "outside", code="b", code_now="z"))
    found = Vouchers(tmp_path)
    assert found.state(("a", "x")) == "undecided", "another record of the path does not settle it"
    assert found.state(("b", "b")) == "covered", "the same code"
    standing = found.standing()
    assert standing is not None
    assert standing.states == Counter(undecided=1, covered=1) and standing.paths == 2
    assert standing.again == Counter(equal=1, undecided=1), "what was found of another path is not of this survey"
    assert (standing.outside, standing.other_errors) == (frozenset(), 1)
    append(tmp_path, voucher("4", "outside"))
    standing = Vouchers(tmp_path).standing()
    assert standing is not None and standing.outside == {"a"}


def test_draws_are_those_since_the_last_survey(tmp_path: Path) -> None:
    append(tmp_path, SURVEY)
    append(tmp_path, voucher("1", "equal", drawn="random"))
    append(tmp_path, voucher("2", "equal"))
    assert Vouchers(tmp_path).draws() == {"1": "equal"}
    append(tmp_path, Survey(commit="c2", paths=[("a", "x", 4)]))
    found = Vouchers(tmp_path)
    assert found.draws() == {} and found.state(("a", "x")) == "covered"
    standing = found.standing()
    assert standing is not None and (standing.commit, standing.records) == ("c2", 4)


@pytest.mark.parametrize(
    "line", ["", "[]", "{", '{"voucher": {}}', '{"other": {}}', '{"survey": {"commit": "c"}}', "3"]
)
def test_what_is_no_voucher_is_named(tmp_path: Path, line: str) -> None:
    append(tmp_path, SURVEY)
    with (tmp_path / FILE).open("a") as file:
        file.write(f"{line}\n")
    with pytest.raises(StoreError, match=f"{FILE}, line 2 is no voucher"):
        Vouchers(tmp_path)


def test_a_file_that_cannot_be_written_or_read_is_a_mistake(tmp_path: Path) -> None:
    (tmp_path / FILE).mkdir()
    with pytest.raises(StoreError):
        append(tmp_path, SURVEY)
    with pytest.raises(StoreError, match="cannot be read"):
        Vouchers(tmp_path)


def test_a_line_is_json_with_its_kind(tmp_path: Path) -> None:
    append(tmp_path, SURVEY)
    (line,) = (tmp_path / FILE).read_text().splitlines()
    assert json.loads(line) == {
        "survey": {"commit": "c1", "excluded": {"no score (n/a)": 1}, "paths": [["a", "x", 3], ["b", "b", 2]]}
    }
