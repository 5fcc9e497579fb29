"""Records by the names that people give them, and what is said of a name that is none."""

from pathlib import Path

import pytest

from sparsebench.reports.records.record import RecordError
from sparsebench.reports.records.store import Store, StoreError
from sparsebench.reports.tables.freezing import freeze
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.verification.lookup import find_records

from ..cells import record

ID = "00ff00ff"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    found = Store(tmp_path / "results").create()
    found.write(record(id=ID, reason="why"))
    return found


def file_of(store: Store) -> Path:
    return store.records / f"{ID}.json"


def test_an_id_is_looked_up_in_the_result_folder(store: Store) -> None:
    (found,) = find_records([ID], store.folder)
    assert (found.record.id, found.record.reason, found.folder) == (ID, "why", store.folder)
    assert found.title == f"{ID} llm/synthetic dense on tiny seed 0"


def test_a_file_lies_in_its_result_folder_or_in_none(store: Store, tmp_path: Path) -> None:
    copy = tmp_path / "elsewhere" / "copy"
    copy.parent.mkdir()
    copy.write_bytes(file_of(store).read_bytes())
    inside, outside = find_records([str(file_of(store)), str(copy)], None)
    assert inside.record == outside.record
    assert inside.folder == store.folder.resolve()
    assert outside.folder is None


def test_a_result_folder_that_is_given_counts_for_files_too(store: Store, tmp_path: Path) -> None:
    (found,) = find_records([str(file_of(store))], tmp_path)
    assert found.folder == tmp_path


def test_all_are_found_in_the_order_of_their_names(store: Store) -> None:
    file = str(file_of(store))
    assert [found.record.id for found in find_records([ID, file, ID], store.folder)] == [ID] * 3
    assert find_records([], store.folder) == []


def test_an_id_that_is_not_there_is_told_with_near_ones(store: Store) -> None:
    with pytest.raises(UsageError, match=f"holds no record '00ff00fe'.*did you mean {ID}"):
        find_records(["00ff00fe"], store.folder)


def test_an_id_without_a_folder(store: Store) -> None:
    with pytest.raises(UsageError, match=f"'{ID}' is no file: .* or its id and --out FOLDER"):
        find_records([ID], None)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"gone\.json: No such file"):
        find_records([str(tmp_path / "gone.json")], None)


def test_the_file_of_a_frozen_record_still_names_it(store: Store) -> None:
    """Pages and messages from before lead to it."""
    name = str(file_of(store))
    freeze(store)
    (by_file,) = find_records([name], None)
    (by_id,) = find_records([ID], store.folder)
    assert by_file.record == by_id.record
    assert by_file.folder == store.folder.resolve()
    with pytest.raises(UsageError, match=f"holds no record '00ff00fe'.*did you mean {ID}"):
        find_records([name.replace(ID, "00ff00fe")], None)


def test_a_file_that_is_no_record_is_named(store: Store, tmp_path: Path) -> None:
    file_of(store).write_text("{")
    for name, out in ((str(file_of(store)), None), (ID, store.folder)):
        with pytest.raises(RecordError) as error:
            find_records([name], out)
        assert str(error.value).startswith(f"{file_of(store)}: ")


def test_a_folder_without_results(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="no results in"):
        find_records([ID], tmp_path)
