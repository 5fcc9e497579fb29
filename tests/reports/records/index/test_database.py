"""The index: as the files are, whatever was done to them, to it, and by whom."""

import dataclasses
import gc
import multiprocessing
import os
import shutil
import sqlite3
import time

import pytest

from sparsebench.reports.records.index import database as module
from sparsebench.reports.records.index.database import INDEX, Entry, Index
from sparsebench.reports.records.record import TrainingCosts, to_json
from sparsebench.reports.records.store import Store, StoreError


def put(store, record):
    """As `Store.write`, without putting it to the disk."""
    path = store.records / f"{record.id}.json"
    temporary = path.with_name(f".{path.name}.tmp")
    temporary.write_text(to_json(record))
    temporary.replace(path)


@pytest.fixture
def store(tmp_path):
    return Store(tmp_path / "out").create()


@pytest.fixture
def filled(store, make):
    for record in make.grid(3, 2, 2):
        put(store, record)
    return store


def read(store):
    """All that an index says: the slim records, and the problems by name."""
    with Index(store) as index:
        records = list(index.records(index.entries))
        assert [entry.id for entry in index.entries] == [record.id for record in records]
        return records, {problem.path.name: problem.reason for problem in index.problems}


def truth(store):
    records, problems = store.read_all()
    slim = [dataclasses.replace(record, curves={name: [] for name in record.curves}) for record in records]
    return slim, {problem.path.name: problem.reason for problem in problems}


def reads(store, monkeypatch):
    """How many records an index reads."""
    opened = []

    def watch(name, original=store.read_named):
        opened.append(name)
        return original(name)

    with monkeypatch.context() as patch:
        patch.setattr(store, "read_named", watch)
        found = read(store)
    assert found == truth(store)
    return len(opened)


def test_an_index_says_what_the_files_say_and_opens_none_of_them_again(filled, monkeypatch):
    assert reads(filled, monkeypatch) == 12
    assert (filled.folder / INDEX).exists()
    assert reads(filled, monkeypatch) == 0


def test_entries_say_what_plans_need(store, make):
    put(store, make.record("row", "task", 3, status="timeout", reason="too long", times={"total": 7.0}))
    (entry,) = Index(store).entries
    assert (entry.status, entry.reason, entry.seconds) == ("timeout", "too long", 7.0)
    assert (entry.suite, entry.task, entry.label, entry.backbone) == ("vtab", "task", "row", "vit-tiny")
    assert entry.trained is False
    assert Index(store).entries == [entry]
    put(store, make.record("trained", "task", 3, training=TrainingCosts(seconds=1.0)))
    for _ in range(2):  # as it was read, and as it was kept
        assert [one.trained for one in Index(store).entries if one.label == "trained"] == [True]


def test_added_changed_and_removed_files_are_seen(filled, make, monkeypatch):
    read(filled)
    first, second, *_ = sorted(filled.records.iterdir())
    first.unlink()
    record = filled.read(second.stem)
    put(filled, dataclasses.replace(record, status="failed", reason="again", metrics={}, main_metric=None))
    put(filled, make.record("new"))
    assert reads(filled, monkeypatch) == 2
    assert reads(filled, monkeypatch) == 0


def test_a_record_that_is_replaced_within_a_tick_of_the_clock_is_seen(filled, monkeypatch):
    """Same name, same size, same time: the inode is another one, since the old file was there with the new one."""
    read(filled)
    path = min(filled.records.iterdir())
    before = path.stat()
    record = filled.read(path.stem)
    put(filled, dataclasses.replace(record, finished=record.started))
    os.utime(path, ns=(before.st_atime_ns, before.st_mtime_ns))
    assert path.stat().st_size == before.st_size and path.stat().st_mtime_ns == before.st_mtime_ns
    assert reads(filled, monkeypatch) == 1


def test_broken_files_are_named_each_time_and_mended_ones_are_records(filled, make, monkeypatch):
    record = make.record("new")
    path = filled.records / f"{record.id}.json"
    path.write_text(to_json(record)[:300])
    (filled.records / "notes.txt").write_text("hello")
    (filled.records / ".hidden.json.tmp").write_text("{")
    for _ in range(2):
        assert set(read(filled)[1]) == {path.name, "notes.txt"}
    path.write_text(to_json(record))
    assert set(read(filled)[1]) == {"notes.txt"}
    assert reads(filled, monkeypatch) == 0


def test_a_file_whose_name_is_no_text_and_a_folder_are_problems(filled, make):
    strange = os.fsdecode(b"caf\xe9.json")
    (filled.records / strange).write_text(to_json(make.record("new")))
    (filled.records / "folder.json").mkdir()
    for _ in range(2):
        records, problems = read(filled)
        assert len(records) == 12 and "foreign" in problems[strange] and "folder.json" in problems


def damage(path, kind):
    content = path.read_bytes()
    if kind == "empty":
        path.write_bytes(b"")
    elif kind == "text":
        path.write_text("This is not a database. " * 300)
    elif kind == "cut":
        path.write_bytes(content[: len(content) // 2])
    elif kind == "zeros":
        path.write_bytes(content[:100] + bytes(len(content) - 100))
    elif kind == "folder":
        path.unlink()
        path.mkdir()
    elif kind == "version":
        with sqlite3.connect(path) as base:
            base.execute("UPDATE about SET form = 'other'")
    elif kind == "tables":
        with sqlite3.connect(path) as base:
            base.execute("DROP TABLE parts")


@pytest.mark.parametrize("kind", ["empty", "text", "cut", "zeros", "folder", "version", "tables"])
def test_a_broken_index_is_made_again(filled, kind, monkeypatch):
    read(filled)
    damage(filled.folder / INDEX, kind)
    assert read(filled) == truth(filled)
    expected = 0
    if kind == "folder":
        expected = 12  # it stands in the way, and is nobody's to remove
    assert reads(filled, monkeypatch) == expected


@pytest.mark.parametrize("statement", ["UPDATE slim SET text = '[]'", "DELETE FROM slim", "DELETE FROM parts"])
def test_rows_that_are_broken_are_made_again(filled, statement, monkeypatch):
    read(filled)
    with sqlite3.connect(filled.folder / INDEX) as base:
        base.execute(statement)
    assert read(filled) == truth(filled)
    assert reads(filled, monkeypatch) == 12
    assert reads(filled, monkeypatch) == 0


@pytest.mark.parametrize("seed", range(30))
def test_flipped_bytes_never_change_what_is_said(filled, seed):
    """SQLite has no checksums of its own: a flipped bit in a score would be another score."""
    import random

    read(filled)
    path = filled.folder / INDEX
    content = bytearray(path.read_bytes())
    draw = random.Random(seed)
    for _ in range(8):
        content[draw.randrange(len(content))] ^= 1 << draw.randrange(8)
    path.write_bytes(content)
    assert read(filled) == truth(filled)
    assert read(filled) == truth(filled)


def test_without_a_place_to_write_it_is_in_memory(filled, monkeypatch):
    def refused(place, original=module._connect):
        if place != module.IN_MEMORY:
            error = sqlite3.OperationalError("attempt to write a readonly database")
            error.sqlite_errorname = "SQLITE_READONLY_DIRECTORY"
            raise error
        return original(place)

    monkeypatch.setattr(module, "_connect", refused)
    assert reads(filled, monkeypatch) == 12
    assert not (filled.folder / INDEX).exists()


def test_a_lock_that_is_held_for_long_is_not_waited_for_and_the_file_stays(filled, make, monkeypatch):
    read(filled)
    put(filled, make.record("new"))
    monkeypatch.setattr(module, "WAIT_SECONDS", 0.05)
    other = sqlite3.connect(filled.folder / INDEX, isolation_level=None)
    other.execute("BEGIN EXCLUSIVE")
    assert read(filled) == truth(filled)
    other.execute("ROLLBACK")
    other.close()
    assert reads(filled, monkeypatch) == 1


def test_an_index_that_breaks_while_it_is_read_gives_way_to_the_files(filled):
    with Index(filled) as index:
        damage(filled.folder / INDEX, "zeros")
        assert list(index.records(index.entries)) == truth(filled)[0]


def test_a_record_that_goes_away_while_it_is_read_is_one_line(filled):
    with Index(filled) as index:
        record = next(index.records(index.entries))
        shutil.rmtree(filled.records)
        with pytest.raises(StoreError, match="went away or broke while it was read") as error:
            index.whole(record)
    assert "\n" not in str(error.value)


def test_the_whole_record_of_a_slim_one(filled):
    with Index(filled) as index:
        for record in index.records(index.entries[:2]):
            whole = index.whole(record)
            assert whole == filled.read(record.id)
            assert len(whole.curves["train/loss"]) == 20


def _write_and_read(folder, number, records):
    store = Store(folder)
    for place, record in enumerate(records):
        put(store, record)
        if place % 5 == number:
            with Index(store) as index:
                found = {record.id for record in index.records(index.entries)}
                assert {other.id for other in records[: place + 1]} <= found
                assert not index.problems


def test_readers_and_writers_side_by_side(store, make):
    context = multiprocessing.get_context("spawn")
    shares = [make.grid(4, 5, 2, suite=f"suite {number}") for number in range(3)]
    workers = [
        context.Process(target=_write_and_read, args=(store.folder, number, share))
        for number, share in enumerate(shares)
    ]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join(120)
    assert [worker.exitcode for worker in workers] == [0, 0, 0]
    assert len(read(store)[0]) == 120
    assert read(store) == truth(store)


def test_ten_thousand_records_are_looked_through_in_a_moment(store, make):
    for number in range(10_000):
        put(store, make.record("a", f"task {number:05d}"))
    Index(store)
    gc.collect()
    gc.freeze()  # else a collection may walk, and be charged for, gigabytes that other tests left behind
    start = time.process_time()
    with Index(store) as index:
        assert len(index.entries) == 10_000
        assert time.process_time() - start < 1
        assert sum(1 for _ in index.records(index.entries)) == 10_000
    taken = time.process_time() - start
    gc.unfreeze()
    assert taken < 4
    assert isinstance(index.entries[0], Entry)
