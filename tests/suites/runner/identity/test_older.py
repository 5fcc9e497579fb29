"""Of how many records the code has changed since."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.identity import fingerprint, older
from sparsebench.suites.runner.identity.device import device_kind
from sparsebench.suites.runner.identity.older import made_by_older_code
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.plan_file import write_plan
from sparsebench.suites.runner.planning.profile import Profile, load_profile
from sparsebench.suites.runner.summary import write_report


@pytest.fixture(scope="module")
def profile() -> Profile:
    """Two rows of the molecules suite, one of which cannot run on every task."""
    loaded = load_profile("smoke", ["molecules"])
    rows = [row for row in loaded.plans[0].methods if row.name in ("linear_probe", "dense")]
    return replace(loaded, plans=(replace(loaded.plans[0], methods=tuple(rows), claims=()),))


@pytest.fixture(scope="module")
def records(profile: Profile) -> list[Record]:
    found = []
    for cell in cells_of(profile):
        found.append(failure(cell, "n/a" if cell.reason else "failed", "why", started="2026-01-01T00:00:00+00:00"))
    return found


def test_records_of_this_code_are_none(records: list[Record]) -> None:
    assert {record.status for record in records} == {"failed", "n/a"}
    assert len(made_by_older_code(records)) == 0


def test_changed_code_and_what_is_gone_count_but_pairs_that_cannot_run_do_not(records: list[Record]) -> None:
    scored = [record for record in records if record.status != "n/a"]
    changed = [replace(record, id="0" * 16, code="1" * 16) for record in records]
    assert len(made_by_older_code(changed)) == len(scored)
    gone = replace(scored[0], cell=replace(scored[0].cell, method="was_once_a_method"))
    assert len(made_by_older_code([gone, *scored])) == 1


def test_the_machine_that_a_record_was_made_on_is_not_asked_about(records: list[Record], monkeypatch) -> None:
    monkeypatch.setattr(fingerprint, "installed", lambda name: "another version")
    assert len(made_by_older_code(records)) == 0
    scored = next(record for record in records if record.status != "n/a")
    libraries = {**scored.environment["libraries"], "torch": "1.0"}
    moved = replace(scored, environment={**scored.environment, "libraries": libraries})
    assert len(made_by_older_code([moved])) == 1  # it says torch 1.0, but its name was made with another version


def test_the_report_says_how_many(profile: Profile, records: list[Record], tmp_path: Path, capsys) -> None:
    store = Store(tmp_path).create()
    changed = [replace(record, id=f"{number:016x}", code="1" * 16) for number, record in enumerate(records)]
    for record in changed:
        store.write(record, None)
    count = len(made_by_older_code(changed))
    write_report(tmp_path, tmp_path / "report")
    sentence = f"{count} of {count} records were made by older code"
    shown = capsys.readouterr().out
    assert sentence in shown
    assert shown.index(sentence) < shown.index("Molecules"), "before the tables"
    assert sentence in (tmp_path / "report" / "index.html").read_text()


def test_a_report_of_todays_code_says_nothing(profile: Profile, records: list[Record], tmp_path: Path, capsys) -> None:
    store = Store(tmp_path).create()
    for record in records:
        store.write(record, None)
    write_plan(profile, list(cells_of(profile)), tmp_path, "missing")
    write_report(tmp_path, tmp_path / "report")
    assert "older code" not in capsys.readouterr().out
    assert "older code" not in (tmp_path / "report" / "index.html").read_text()


def test_a_record_says_on_which_device_it_was_made(profile: Profile) -> None:
    """A machine with an accelerator also runs cells on its processor (`--device cpu`)."""
    other = "cuda" if device_kind() == "cpu" else "cpu"
    cells = [cell for cell in cells_of(replace(profile, device=other)) if not cell.reason]
    made = [failure(cell, "failed", "why", started="2026-01-01T00:00:00+00:00") for cell in cells]
    assert {record.environment["device"] for record in made} == {other}
    assert made_by_older_code(made) == []


def test_the_code_of_a_method_task_and_backbone_is_hashed_once(records: list[Record], monkeypatch) -> None:
    hashed = []

    def watch(entries, *arguments, original=older.code_hash):
        hashed.append(tuple(entry.name for entry in entries))
        return original(entries, *arguments)

    monkeypatch.setattr(older, "code_hash", watch)
    gone = replace(records[0], status="failed", reason="r", cell=replace(records[0].cell, task="was_once_a_task"))
    assert len(made_by_older_code([*records * 20, *[gone] * 20])) == 20
    assert len(hashed) == len(set(hashed)) > 1
