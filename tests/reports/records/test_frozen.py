"""Frozen records: read as those in files of their own, and what is wrong with them is said."""

import dataclasses
import os
from pathlib import Path

import pyarrow
import pytest
from pyarrow import parquet

from sparsebench.reports.records import frozen as module
from sparsebench.reports.records.frozen import EXAMPLES_FILE, RECORDS_FILE, read_table
from sparsebench.reports.records.index.database import Index
from sparsebench.reports.records.record import Record, RecordError, to_json
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.dataframe import COLUMNS
from sparsebench.reports.tables.freezing import freeze


@pytest.fixture
def store(tmp_path: Path, make) -> Store:
    """Four records, two with outcomes, frozen."""
    found = Store(tmp_path / "out").create()
    for number, record in enumerate(sorted(make.grid(2, 2, 1), key=lambda record: record.id)):
        found.write(record, {"correct": [0, 1, 1], "bits": [0.1, 0.2, 0.3]} if number < 2 else None)
    freeze(found)
    return found


def problems(store: Store) -> dict[str, str]:
    """What the folder and an index of it say, which is the same."""
    found = store.read_all()[1]
    with Index(store) as index:
        assert index.problems == found
    return {problem.path.name: problem.reason for problem in found}


def put(path: Path, content: bytes) -> None:
    """Another file of that name: one that is changed in place within a tick of the clock looks the same."""
    path.with_name("new").write_bytes(content)
    path.with_name("new").replace(path)


def edit(store: Store, name: str, **columns: list) -> None:
    """As somebody would with a library: a valid file, with other content."""
    table = parquet.read_table(store.folder / name)
    for column, values in columns.items():
        number = table.schema.get_field_index(column)
        table = table.set_column(number, column, pyarrow.array(values, table.schema.field(number).type))
    parquet.write_table(table, store.folder / "edited")
    (store.folder / "edited").replace(store.folder / name)


def test_a_record_of_its_own_file_counts_more(store: Store) -> None:
    first = store.read_all()[0][0]
    assert store.read_examples(first.id) is not None
    again = store.create().write(dataclasses.replace(first, finished="later", examples=None))
    assert store.read(first.id) == again
    assert store.read_examples(first.id) is None, "the frozen outcomes are not those of this record"
    assert len(store.ids()) == len(store.read_all()[0]) == 4
    with Index(store) as index:
        assert {entry.id: entry.finished for entry in index.entries}[first.id] == "later"
    (store.records / f"{first.id}.json").unlink()
    assert store.read(first.id) == first
    with Index(store) as index:
        assert {entry.id: entry.finished for entry in index.entries}[first.id] == first.finished


def test_files_are_read_again_when_they_changed(store: Store, make) -> None:
    before = store.read_all()[0]
    other = Store(store.folder).create()
    added = other.write(make.record("another"), {"correct": [1]})
    freeze(other)
    assert store.read(added.id) == added and store.read_examples(added.id) == {"correct": [1]}
    assert len(store.read_all()[0]) == len(before) + 1


@pytest.mark.parametrize("name", [RECORDS_FILE, EXAMPLES_FILE])
def test_a_file_that_is_cut_is_named(store: Store, name: str) -> None:
    """Wherever it is cut, nothing is read from it and it is named."""
    id = store.ids()[0]
    content = (store.folder / name).read_bytes()
    for keep in (0, 3, len(content) // 2, len(content) - 9, len(content) - 1):
        put(store.folder / name, content[:keep])
        if name == EXAMPLES_FILE:
            assert problems(store) == {}
            with pytest.raises(RecordError, match=f"{EXAMPLES_FILE} is broken"):
                store.read_examples(id)
            continue
        (found,) = problems(store).items()
        assert found[0] == RECORDS_FILE and found[1].startswith(f"{RECORDS_FILE} is broken: "), keep
        for read in (store.ids, lambda: store.read(id)):
            with pytest.raises(RecordError, match="is broken"):
                read()


def test_a_changed_byte_is_noticed_or_changes_nothing(store: Store) -> None:
    """Pages have checksums; without, a changed byte of a text might be another text."""
    path = store.folder / RECORDS_FILE
    content = path.read_bytes()
    columns = ("id", "record")
    text = parquet.ParquetFile(path).metadata.row_group(0).column(len(COLUMNS) - 1).total_compressed_size
    truth = read_table(path, columns)
    noticed = 0
    places = range(0, len(content), 11)
    for place in places:
        put(path, content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :])
        try:
            assert read_table(path, columns).equals(truth)
        except RecordError:
            noticed += 1
    assert noticed > 0.9 * text / 11, "a byte of the texts is covered, one of the other columns need not be"


def test_edited_records_are_named_as_edited_files_are(store: Store) -> None:
    ids = store.ids()
    texts = [store.text(id).decode() for id in ids]
    edit(
        store,
        RECORDS_FILE,
        record=[texts[1], texts[1][:-9], None, texts[3].replace('"status": "ok"', '"status": "no"')],
    )
    found = problems(store)
    assert found.keys() == {f"{id}.json" for id in ids}
    foreign, cut, gone, invalid = (found[f"{id}.json"] for id in ids)
    assert foreign == f"in {RECORDS_FILE}: foreign: the file holds record {ids[1]!r}"
    assert cut.startswith(f"in {RECORDS_FILE}: truncated: ")
    assert gone == f"{RECORDS_FILE}: record {ids[2]} has no text"
    assert invalid.startswith(f"in {RECORDS_FILE}: status: ")
    edit(store, RECORDS_FILE, id=[ids[0]] * 4)
    assert problems(store) == {RECORDS_FILE: f"{RECORDS_FILE} has more than one record of an id"}


def test_outcomes_that_nobody_froze_are_refused(store: Store) -> None:
    edit(store, EXAMPLES_FILE, kind=["int", "poem", "int", "float"])
    for id in store.ids()[:2]:
        if "poem" in str(parquet.read_table(store.folder / EXAMPLES_FILE, filters=[("id", "=", id)])["kind"]):
            with pytest.raises(RecordError, match=f"{EXAMPLES_FILE}: examples of {id} cannot be read: KeyError"):
                store.read_examples(id)


def test_a_table_of_something_else_is_named(store: Store) -> None:
    parquet.write_table(pyarrow.table({"id": ["a"], "text": ["b"]}), store.folder / RECORDS_FILE)
    (found,) = problems(store).values()
    assert found.startswith(f"{RECORDS_FILE} is broken: ") and "record" in found


def test_a_pipe_in_the_place_of_the_file_is_named(store: Store) -> None:
    (store.folder / RECORDS_FILE).unlink()
    os.mkfifo(store.folder / RECORDS_FILE)
    assert "a pipe" in problems(store)[RECORDS_FILE]


def test_a_file_that_says_that_it_is_huge_is_not_unpacked(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_BYTES", 1000)
    with pytest.raises(RecordError, match="it unpacks to 0 MiB"):
        read_table(store.folder / RECORDS_FILE, ("id", "record"))


def test_a_text_is_the_one_of_the_file(tmp_path: Path, make) -> None:
    """Records of earlier versions are other bytes than today's would be."""
    store = Store(tmp_path).create()
    record: Record = make.record()
    text = to_json(record).replace("\n", "\n  ") + "\n\n"
    (store.records / f"{record.id}.json").write_text(text)
    freeze(store)
    assert store.text(record.id) == text.encode() and store.read(record.id) == record
