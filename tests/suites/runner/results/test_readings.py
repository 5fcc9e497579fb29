"""Result folders read side by side."""

from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.readings import open_readings

from ....reports import make_records
from .. import cells


def folder_of(folder: Path, **examples: list[float]) -> Path:
    store = Store(folder).create()
    for name, values in examples.items():
        store.write(cells.record(id=name, key=name), {"loss": values})
    return folder


def test_each_record_is_read_from_its_own_folder_and_one_that_two_have_counts_once(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / "a", mine=[1.0], both=[2.0]), folder_of(tmp_path / "b", both=[3.0], theirs=[4.0])]
    with open_readings(folders) as reading:
        assert sorted(record.id for record in reading.records) == ["both", "mine", "theirs"]
        assert {reading.whole(record).id for record in reading.records} == {"both", "mine", "theirs"}
        assert reading.standings == [None, None]
        assert not reading.problems


def test_one_cell_with_two_scores_is_told(tmp_path: Path) -> None:
    """Of two machines: the score in the second folder was dropped without a word."""
    for folder, value in (("a", 0.5), ("b", 0.25)):
        scored = {
            "status": "ok",
            "reason": None,
            "metrics": {"accuracy": make_records.metric(value)},
            "main_metric": "accuracy",
        }
        Store(tmp_path / folder).create().write(cells.record(id="both", **scored))
    with open_readings([tmp_path / "a", tmp_path / "b"]) as reading:
        assert [record.metrics["accuracy"].value for record in reading.records] == [0.5]
        (problem,) = reading.problems
    assert problem.path == tmp_path / "b" / "records" / "both.json"
    assert (
        problem.reason == f"it has accuracy 0.25, and the same cell in {tmp_path / 'a'}, which is shown, accuracy 0.5"
    )


def test_the_examples_of_a_broken_file_are_named(tmp_path: Path) -> None:
    folders = [folder_of(tmp_path / "a", mine=[1.0]), folder_of(tmp_path / "b", theirs=[4.0])]
    (tmp_path / "b" / "examples" / "theirs.json.gz").write_bytes(b"cut")
    with open_readings(folders) as reading:
        assert reading.examples.scores("theirs", "loss", 1.0) is None
    assert list(reading.examples.problems) == ["theirs"]


@pytest.mark.parametrize("text", ["{", ""])
def test_a_broken_record_is_a_problem_of_its_folder(tmp_path: Path, text: str) -> None:
    folder = folder_of(tmp_path / "a", mine=[1.0])
    (folder / "records" / "broken.json").write_text(text)
    with open_readings([folder]) as reading:
        assert [problem.path.name for problem in reading.problems] == ["broken.json"]


def test_speed_runs_alone_are_enough(tmp_path: Path) -> None:
    folder = folder_of(tmp_path / "a")
    with pytest.raises(UsageError, match="holds no readable record"), open_readings([folder]):
        pass
    (folder / "speed.json").write_text("{}")
    with open_readings([folder]) as reading:
        assert (reading.records, reading.speed) == ([], folder / "speed.json")
