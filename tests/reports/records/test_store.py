"""The store: whole records or none, whatever happens in between."""

import dataclasses
import errno
import json
import os
import time
from pathlib import Path

import pytest

from sparsebench.reports.records.record import SCHEMA_VERSION, RecordError, to_json
from sparsebench.reports.records.store import MARKER, SchemaTooNew, Store, StoreError


def names(folder):
    return sorted(path.name for path in folder.iterdir())


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out").create()


def test_write_then_read(store, make):
    written = store.write(make.record(), {"correct": [1, 0, 1]})
    assert written.examples == f"examples/{written.id}.json.gz"
    assert store.ids() == [written.id]
    assert store.read(written.id) == written
    assert store.read_all() == ([written], [])
    assert store.read_examples(written.id) == {"correct": [1, 0, 1]}
    assert (store.folder / written.examples).exists()


def test_without_examples(store, make):
    written = store.write(make.record())
    assert written.examples is None
    assert store.read_examples(written.id) is None


def test_unknown_id(store):
    with pytest.raises(KeyError):
        store.read("nobody")


def test_create_keeps_what_is_there(store, make):
    written = store.write(make.record())
    store.sweep()
    assert Store(store.folder).create().ids() == [written.id]


class Killed(BaseException):
    """Stands for a process that ends between two system calls."""


def test_a_crash_before_the_rename_leaves_no_record(store, make, monkeypatch):
    def killed(*_):
        raise Killed

    monkeypatch.setattr("pathlib.Path.replace", killed)
    with pytest.raises(Killed):
        store.write(make.record(), {"correct": [1]})
    monkeypatch.undo()
    assert len(names(store.examples)) == 1, "the unfinished file is still there"
    assert store.ids() == []
    assert store.read_all() == ([], [])
    store.sweep()
    assert names(store.examples) == []


def test_a_crash_between_examples_and_record_leaves_no_record(store, make, monkeypatch):
    from sparsebench.reports.records import store as module

    def write(path, content, original=module.write_whole):
        if path.parent.name == "records":
            raise Killed
        original(path, content)

    monkeypatch.setattr(module, "write_whole", write)
    with pytest.raises(Killed):
        store.write(make.record(), {"correct": [1]})
    assert store.read_all() == ([], [])


def test_an_overwrite_that_fails_keeps_the_old_record(store, make, monkeypatch):
    old = store.write(make.record())

    def full(_):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(StoreError, match="no space left"):
        store.write(dataclasses.replace(old, finished="later"))
    assert store.read_all() == ([old], [])
    assert names(store.records) == [f"{old.id}.json"], "the temporary file is gone"


def test_the_new_name_is_on_the_disk_when_a_record_is_written(store, make, monkeypatch):
    """Without this, a power cut after the rename may lose the name, and the record with it."""
    synced = []

    def watch(handle, original=os.fsync):
        synced.append(str(Path(f"/proc/self/fd/{handle}").readlink()))
        original(handle)

    monkeypatch.setattr(os, "fsync", watch)
    written = store.write(make.record(), {"correct": [1]})
    kinds = ["folder" if path in (str(store.records), str(store.examples)) else "file" for path in synced]
    assert kinds == ["file", "folder", "file", "folder"]
    assert synced[1] == str(store.examples), "the outcomes are whole before the record is"
    assert synced[-1] == str(store.records)
    assert store.ids() == [written.id]


def test_what_is_not_json_is_refused_before_anything_is_written(store, make):
    with pytest.raises(RecordError):
        store.write(make.record(details={"x": object()}), {"correct": [1]})
    with pytest.raises(RecordError):
        store.write(make.record(), {"correct": [float("nan")]})
    assert names(store.records) == names(store.examples) == []


@pytest.mark.parametrize("keep", [0, 1, 300, -2])
def test_truncated_records_are_named(store, make, keep):
    good, bad = store.write(make.record(seed=0)), make.record(seed=1)
    (store.records / f"{bad.id}.json").write_text(to_json(bad)[:keep])
    records, problems = store.read_all()
    assert records == [good]
    assert [problem.path.stem for problem in problems] == [bad.id]
    assert "truncated" in problems[0].reason


def test_foreign_and_invalid_files_are_named(store, make):
    record = make.record()
    (store.records / "other.json").write_text(to_json(record))
    (store.records / "list.json").write_text("[{}]\n")
    (store.records / "object.json").write_text("{}")
    (store.records / "notes.txt").write_text("hello")
    (store.records / "binary.json").write_bytes(b"\xff\xfe}")
    newer = json.loads(to_json(record)) | {"schema_version": 99}
    (store.records / f"{record.id}.json").write_text(json.dumps(newer))
    records, problems = store.read_all()
    reasons = {problem.path.name: problem.reason for problem in problems}
    assert records == []
    assert len(reasons) == 6
    assert "foreign" in reasons["other.json"]
    assert "upgrade" in reasons[f"{record.id}.json"]
    assert all("\n" not in reason for reason in reasons.values())


def test_hidden_files_are_nobodys_record(store):
    (store.records / ".x.json.12.tmp").write_text("{")
    assert store.ids() == []
    assert store.read_all() == ([], [])


def test_a_folder_without_results(tmp_path):
    with pytest.raises(StoreError, match="sparsebench run"):
        Store(tmp_path / "nothing").open()
    assert names(tmp_path) == []


def test_a_newer_folder_is_left_alone(tmp_path):
    (tmp_path / MARKER).write_text(json.dumps({"schema_version": SCHEMA_VERSION + 1}))
    for use in (Store(tmp_path).open, Store(tmp_path).create):
        with pytest.raises(SchemaTooNew, match="upgrade"):
            use()
    assert names(tmp_path) == [MARKER]


@pytest.mark.parametrize(
    ("content", "words"),
    [
        ("", "is no JSON"),
        ("[" * 100_000, "is no JSON"),
        ("\udce9", "is no JSON"),
        *((text, "names no schema_version, a whole number from 1") for text in ("{}", "[]", "3", "null", '"x"')),
        *(
            (f'{{"schema_version": {version}}}', "names no schema_version, a whole number from 1")
            for version in ('"x"', "0", "true", "[4]")
        ),
    ],
)
def test_a_marker_of_something_else(tmp_path, content, words):
    """Of a list it said "list indices must be integers or slices, not str"."""
    (tmp_path / MARKER).write_bytes(content.encode(errors="surrogateescape"))
    with pytest.raises(StoreError) as error:
        Store(tmp_path).open()
    assert str(error.value) == f"{tmp_path / MARKER} {words}: is this a result folder?"


def test_a_folder_that_cannot_be_written(tmp_path):
    file = tmp_path / "file"
    file.write_text("in the way")
    with pytest.raises(StoreError, match="cannot be written") as error:
        Store(file / "out").create()
    assert "\n" not in str(error.value)
    assert names(tmp_path) == ["file"]


def test_ten_thousand_records_are_read_in_seconds(store, make):
    records = [make.record("a", f"task {i:05d}", score=make.metric(i / 10_000)) for i in range(10_000)]
    for record in records:
        (store.records / f"{record.id}.json").write_text(to_json(record))
    start = time.process_time()
    found, problems = store.read_all()
    assert time.process_time() - start < 4
    assert (len(found), problems) == (10_000, [])


def test_a_sweep_among_other_writers_takes_only_what_is_old(tmp_path: Path) -> None:
    store = Store(tmp_path).create()
    old = store.records / ".one.json.1.tmp"
    young = store.records / ".two.json.2.tmp"
    for leftover in (old, young):
        leftover.write_text("{")
    long_ago = young.stat().st_mtime - 7200
    os.utime(old, (long_ago, long_ago))
    store.sweep(older_than=3600)
    assert [path.name for path in store.records.iterdir()] == [young.name]
    store.sweep()
    assert list(store.records.iterdir()) == []


def test_a_pipe_or_a_folder_in_the_place_of_a_file_is_named(make, tmp_path):
    """Audit D15: a pipe hung `report` for ever."""
    store = Store(tmp_path).create()
    record = make.record("a")
    os.mkfifo(store.records / "pipe.json")
    os.mkfifo(store.examples / f"{record.id}.json.gz")
    (store.records / f"{record.id}.json").mkdir()
    _, problems = store.read_all()
    reasons = {problem.path.stem: problem.reason for problem in problems}
    assert reasons["pipe"] == "pipe.json is a pipe, a socket or a device in the place of a file: remove it"
    assert reasons[record.id] == f"{record.id}.json is a folder in the place of a file: move it away"
    with pytest.raises(RecordError, match="a pipe, a socket or a device"):
        store.read_examples(record.id)
    with pytest.raises(StoreError, match=rf"{record.id}\.json is a folder in the place of a file: move it away"):
        store.write(record)
