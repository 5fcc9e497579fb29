"""Freezing: nothing is lost, nothing is removed too early, and the same records make the same bytes."""

import hashlib
import shutil
from pathlib import Path

import pandas
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyarrow import parquet

from sparsebench.reports.records.example_files import pack, unpack
from sparsebench.reports.records.frozen import EXAMPLES_FILE, RECORDS_FILE
from sparsebench.reports.records.frozen_examples import is_same
from sparsebench.reports.records.record import RecordError, from_json, to_json
from sparsebench.reports.records.store import Store, StoreError
from sparsebench.reports.records.sums import compare, seal
from sparsebench.reports.tables import freezing as module
from sparsebench.reports.tables.dataframe import COLUMNS, to_frame
from sparsebench.reports.tables.freezing import Freezing, freeze

from ..records.drawn_records import json_values, records, words

OUTCOMES = {
    "correct": [1, 0, 1],
    "bits": [0.1, 2.5, 1e-7],
    "domain": ["law", "wiki", "law"],
    "target": [[1.0], [2.0], []],
}


@pytest.fixture
def store(tmp_path: Path, make) -> Store:
    found = Store(tmp_path / "out").create()
    for number, record in enumerate(make.realistic()):
        found.write(record, OUTCOMES if number % 3 == 0 else None)
    seal(found, ())
    return found


def contents(store: Store) -> dict[str, tuple[str, str]]:
    """All that a folder says, by record."""
    return {id: (store.text(id).decode(), repr(store.read_examples(id))) for id in store.ids()}


def files(folder: Path) -> dict[str, str]:
    found = [path for path in folder.rglob("*") if path.is_file()]
    return {str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest() for path in found}


drawn = st.lists(
    st.tuples(records(), st.none() | st.dictionaries(words, st.lists(json_values), max_size=3)),
    max_size=4,
    unique_by=lambda pair: pair[0].id,
)


@settings(
    max_examples=40, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture]
)
@given(drawn)
def test_every_record_comes_back(tmp_path: Path, drawn: list) -> None:
    """Texts as they are, outcomes bit by bit, readable columns as in a frame."""
    folder = tmp_path / "drawn"
    shutil.rmtree(folder, ignore_errors=True)
    store = Store(folder).create()
    for record, outcomes in drawn:
        (store.records / f"{record.id}.json").write_bytes(to_json(record).encode())
        if outcomes is not None:
            (store.examples / f"{record.id}.json.gz").write_bytes(pack(record.id, outcomes))
    freeze(store)
    assert not list(folder.glob("*/*"))
    assert store.read_all() == (sorted((record for record, _ in drawn), key=lambda record: f"{record.id}.json"), [])
    for record, outcomes in drawn:
        assert from_json(store.text(record.id)) == record
        kept = None if outcomes is None else unpack(record.id, pack(record.id, outcomes))
        assert is_same(store.read_examples(record.id), kept)


def test_a_score_that_is_no_number_is_refused_as_ever(store: Store) -> None:
    path = store.records / f"{store.ids()[0]}.json"
    path.write_text(path.read_text().replace('"value": ', '"value": NaN, "x": '))
    with pytest.raises(StoreError, match="is not as its run left it"):
        freeze(store)
    shutil.rmtree(store.folder / "SHA256SUMS", ignore_errors=True)
    with pytest.raises(RecordError):
        store.read(path.stem)


def test_the_same_records_make_the_same_bytes(store: Store, tmp_path: Path) -> None:
    """At once, in parts, or twice."""
    whole = Store(tmp_path / "whole")
    shutil.copytree(store.folder, whole.folder)
    ids = store.ids()
    parts = Store(tmp_path / "parts").create()
    for some in (ids[::2], ids[1::2]):
        parts.create()
        for id in some:
            shutil.copy(store.records / f"{id}.json", parts.records)
            if (store.examples / f"{id}.json.gz").exists():
                shutil.copy(store.examples / f"{id}.json.gz", parts.examples)
        freeze(parts)
    found = freeze(whole)
    assert found.added == found.count == len(ids) and found.after < found.before
    for name in (RECORDS_FILE, EXAMPLES_FILE):
        assert (whole.folder / name).read_bytes() == (parts.folder / name).read_bytes()
    before = files(whole.folder)
    assert freeze(whole) == Freezing(len(ids), 0, found.after, found.after)
    assert files(whole.folder) == before


def test_the_list_of_sums_covers_the_frozen_files(store: Store) -> None:
    freeze(store)
    assert compare(store).listed == 2 and compare(store).fits and not compare(store).unlisted
    path = store.folder / EXAMPLES_FILE
    table = parquet.read_table(path)
    parquet.write_table(table.slice(1), path)
    assert compare(store).changed == (EXAMPLES_FILE,)
    store.create().write(store.read_all()[0][0])
    with pytest.raises(StoreError, match=rf"not as its run left it \({EXAMPLES_FILE}\): nothing was frozen"):
        freeze(store)


@pytest.mark.parametrize(
    ("name", "content", "reason"),
    [
        ("records/ab.json", "{", "truncated: 1 bytes"),
        ("records/notes.txt", "hello", "the name does not end in .json"),
        ("examples/ab.json.gz", "hello", "cannot be read"),
        ("examples/cd.json.gz", None, "belongs to no record"),
    ],
)
def test_what_cannot_be_frozen_is_named_and_all_stays(
    store: Store, name: str, content: str | None, reason: str
) -> None:
    (store.folder / name).write_bytes(pack("cd", OUTCOMES) if content is None else content.encode())
    before = files(store.folder)
    with pytest.raises((StoreError, RecordError), match=reason):
        freeze(store)
    assert files(store.folder) == before


def test_what_does_not_come_back_is_not_removed(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    before = files(store.folder)
    monkeypatch.setattr(module, "to_row", lambda name, values: (name, "json", None, None, "[1]"))
    with pytest.raises(StoreError, match="does not come back from its frozen form: nothing was frozen"):
        freeze(store)
    assert files(store.folder) == before


class Killed(BaseException):
    """Stands for a process that ends between two system calls."""


@pytest.mark.parametrize("call", ["write_whole", "forget", "_put", "_remove", "seal", "sync_folder"])
def test_a_freeze_that_is_killed_loses_nothing_and_goes_on(
    store: Store, monkeypatch: pytest.MonkeyPatch, call: str
) -> None:
    before = contents(store)

    def killed(*_: object) -> None:
        raise Killed

    with monkeypatch.context() as patch:
        patch.setattr(module, call, killed)
        with pytest.raises(Killed):
            freeze(store)
    assert contents(Store(store.folder)) == before
    assert compare(store).fits
    freeze(store)
    assert contents(Store(store.folder)) == before and compare(store).fits and not compare(store).unlisted
    assert {path.name for path in store.folder.iterdir()} == {
        "sparsebench.json",
        "SHA256SUMS",
        RECORDS_FILE,
        EXAMPLES_FILE,
    }


def test_files_that_a_killed_freeze_left_are_frozen(store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was killed between two of the files that it removes."""
    before = contents(store)
    left = []

    def unlink(path: Path, original=Path.unlink, **options: bool) -> None:
        if path.name.endswith(".json.gz"):
            left.append(path)
            raise Killed
        original(path, **options)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", unlink)
        with pytest.raises(Killed):
            freeze(store)
    assert left and contents(Store(store.folder)) == before
    assert freeze(store).added == 0
    assert contents(Store(store.folder)) == before and not store.examples.exists()


def test_outcomes_of_a_run_that_was_killed_are_not_those_of_the_frozen_record(store: Store) -> None:
    freeze(store)
    id = store.create().ids()[0]
    (store.examples / f"{id}.json.gz").write_bytes(pack(id, {"correct": [9]}))
    with pytest.raises(StoreError, match="belongs to no record: run the profile again"):
        freeze(store)


def test_people_read_the_columns_that_tables_show(store: Store) -> None:
    records = store.read_all()[0]
    freeze(store)
    table = pandas.read_parquet(store.folder / RECORDS_FILE)
    shown = to_frame(records)
    shown = shown[shown["main"] | shown["metric"].isna()].drop(columns="main").reset_index(drop=True)
    for name in shown:
        assert table[name].dropna().tolist() == shown[name].dropna().tolist(), name
    assert [*table] == [*(name for name in COLUMNS if name != "main"), "record"]
    assert pandas.api.types.is_float_dtype(table["value"]) and pandas.api.types.is_integer_dtype(table["seed"])
    outcomes = pandas.read_parquet(store.folder / EXAMPLES_FILE)
    assert [*outcomes] == [
        "id",
        "suite",
        "task",
        "label",
        "backbone",
        "seed",
        "column",
        "kind",
        "numbers",
        "texts",
        "json",
    ]
    correct = outcomes[outcomes["column"] == "correct"].set_index("id")["numbers"]
    assert correct.map(list).tolist() == [OUTCOMES["correct"]] * len(correct) and len(correct) > 3


def test_hugging_face_datasets_reads_them(store: Store, tmp_path: Path) -> None:
    from datasets import load_dataset

    freeze(store)
    for name in (RECORDS_FILE, EXAMPLES_FILE):
        path = store.folder / name
        found = load_dataset("parquet", data_files=str(path), split="train", cache_dir=str(tmp_path / "cache"))
        assert found["id"] == parquet.read_table(path)["id"].to_pylist()
