"""Records drawn from folders, and whether a folder is as its run left it."""

from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric
from sparsebench.reports.records.store import Store
from sparsebench.reports.records.sums import Fit, seal
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.verification.folders import FolderCheck, check_folders, choose, result_folders

from ..cells import record

IDS = [f"{number:02}" for number in range(12)]
ORDER = ["02", "05", "03"]
"""The first by `echo -n "0 ID" | sha256sum`."""


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two result folders with six scores each, and a failure."""
    home = tmp_path_factory.mktemp("results")
    metrics = {"accuracy": Metric(value=0.5, higher_is_better=True, unit="share")}
    for name, ids in (("one", IDS[:6]), ("two", IDS[6:])):
        store = Store(home / name).create()
        for id in ids:
            store.write(record(id=id, status="ok", reason=None, metrics=metrics, main_metric="accuracy"))
        store.write(record(id=f"failed-{name}"))
        seal(store, ())
    return home


def drawn(results: Path, sample: int, seed: int) -> list[str]:
    said: list[str] = []
    found = choose([str(results)], None, sample, seed, said.append)
    assert said == [f"drew {len(found)} of 12 records with a score, seed {seed}"]
    return [one.record.id for one in found]


def test_a_seed_says_which_records_are_drawn(results: Path) -> None:
    three, five = drawn(results, 3, 0), drawn(results, 5, 0)
    assert five[:3] == three == ORDER
    assert len(set(five)) == 5 and set(five) <= set(IDS)
    assert drawn(results, 5, 1) != five
    assert sorted(drawn(results, 99, 0)) == IDS
    (one,) = choose([str(results / "two")], None, 1, 0, print)
    assert one.folder == results / "two"
    assert choose([], results / "two", 1, 0, print) == [one]


@pytest.mark.parametrize(
    ("names", "sample", "message"),
    [
        (["{}"], None, "FOLDER --sample N"),
        ([], None, "say which records"),
        ([], 3, "name it"),
        (["{}/one/records"], 3, "is no result folder"),
    ],
)
def test_what_cannot_be_drawn(results: Path, names: list[str], sample: int | None, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        choose([name.format(results) for name in names], None, sample, 0, print)


def test_folders_are_looked_at_once(results: Path) -> None:
    named = choose([str(results)], None, 12, 0, print)
    found = check_folders(named)
    assert sorted(one.folder for one in found) == result_folders(results)
    assert [one.sentences() for one in found] == [[f"{one.folder}: 7 files as the run left them"] for one in found]


@pytest.mark.parametrize(
    ("fit", "said"),
    [
        (Fit(broken="odd"), ["f: odd"]),
        (Fit(unlisted=("a",)), ["f: no list of sums: it is older than such lists, or its run was stopped"]),
        (Fit(3, unlisted=("a",)), ["f: not listed by the run that ended last: a"]),
        (
            Fit(9, changed=tuple("abcde"), missing=("x",)),
            ["f: changed since its run ended: a, b, c, d and 1 more", "f: gone since its run ended: x"],
        ),
    ],
)
def test_what_is_said_of_a_folder(fit: Fit, said: list[str]) -> None:
    assert FolderCheck(Path("f"), fit).sentences() == said
