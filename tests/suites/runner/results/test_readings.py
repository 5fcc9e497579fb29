"""Result folders read side by side."""

from pathlib import Path

import pytest

from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.readings import open_readings

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
