"""The sums of a result folder: what changed since its run ended is named."""

import json
import subprocess
from pathlib import Path

import pytest

from sparsebench.reports.records import record as record_module
from sparsebench.reports.records.store import MARKER, Store
from sparsebench.reports.records.sums import SUMS, Fit, compare, forget, seal

from ..make_records import record

IDS = ("aa", "bb")
RESULTS = Path(record_module.__file__).parents[1] / "results"


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two records, one with examples, of a run that ended."""
    found = Store(tmp_path / "results").create()
    for id in IDS:
        write(found, id)
    seal(found, IDS)
    return found


def write(store: Store, id: str, reason: str = "why") -> None:
    store.write(record(id=id, status="failed", reason=reason), {"x": [1, 2]} if id == "aa" else None)


def test_a_folder_as_its_run_left_it_fits(store: Store) -> None:
    assert compare(store) == Fit(listed=3) and compare(store).fits
    assert store.open().read_all()[1] == []
    checked = subprocess.run(["sha256sum", "-c", SUMS], cwd=store.folder, capture_output=True, text=True)
    assert checked.returncode == 0 and checked.stdout.count(": OK") == 3


def test_what_was_changed_removed_or_added_is_named(store: Store) -> None:
    file = store.records / "bb.json"
    file.write_text(file.read_text().replace("why", "who"))
    (store.examples / "aa.json.gz").unlink()
    write(store, "cc")
    found = compare(store)
    assert found == Fit(3, ("records/bb.json",), ("examples/aa.json.gz",), ("records/cc.json",)) and not found.fits


def test_a_later_run_does_not_hide_a_change(store: Store) -> None:
    file = store.records / "bb.json"
    file.write_text(file.read_text().replace("why", "who"))
    forget(store, {"aa", "cc"})
    assert compare(store).unlisted == ("examples/aa.json.gz", "records/aa.json")
    write(store, "aa", "other")
    write(store, "cc")
    seal(store, {"aa", "cc"})
    assert compare(store) == Fit(4, changed=("records/bb.json",))


def test_a_run_that_is_stopped_leaves_a_list_that_fits(store: Store) -> None:
    """It takes out what it is about to make, so that a record made again is no change."""
    forget(store, {"aa"})
    write(store, "aa", "other")
    found = compare(store)
    assert found.fits and found.listed == 1 and len(found.unlisted) == 2


def test_the_list_is_named_by_the_folder(store: Store) -> None:
    text = (store.folder / SUMS).read_text()
    (store.folder / SUMS).write_text(text.splitlines()[0] + "\n")
    assert compare(store).broken == f"{SUMS} is not the list that {MARKER} names"
    (store.folder / SUMS).unlink()
    assert compare(store).broken == f"{SUMS}, which {MARKER} names, is not there" and not compare(store).fits


def test_older_folders_have_none(store: Store) -> None:
    (store.folder / SUMS).unlink()
    (store.folder / MARKER).write_text(json.dumps({"schema_version": 3}))
    found = compare(store)
    assert found.fits and found.listed == 0 and len(found.unlisted) == 3
    forget(store, {"aa"})
    assert not (store.folder / SUMS).exists()


@pytest.mark.parametrize("folder", sorted(marker.parent for marker in RESULTS.glob(f"*/{MARKER}")), ids=str)
def test_committed_folders_are_as_their_runs_left_them(folder: Path) -> None:
    """Whoever copies records into a folder runs `seal` on it, or copies the list with them."""
    found = compare(Store(folder).open())
    assert found.fits and found.listed and not found.unlisted, found
