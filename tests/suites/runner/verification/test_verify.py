"""`sparsebench verify`: from the command line, with a plug-in of toys."""

import json
import shutil
import statistics
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

from sparsebench.reports.records.record import Record, from_json
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.verification import verify as verifying
from sparsebench.suites.runner.verification.judgement import Judgement
from sparsebench.suites.runner.verification.lookup import Named

from .test_survey import scored


@pytest.fixture(scope="module")
def bench(make_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A run of toys: scores, failures, a time-out and a pair that cannot run."""
    bench = make_bench(tmp_path_factory.mktemp("verify"))
    bench.write_toys("toy_fine", "toy_raise", "toy_picky", "toy_hang", seeds=2, timeout=4)
    bench.call(*bench.run_arguments())
    return bench


def records(bench: Any) -> dict[str, Record]:
    found, _ = Store(bench.out).open().read_all()
    return {f"{record.cell.label} {record.cell.seed}": record for record in found}


def path_of(bench: Any, record: Record) -> Path:
    return bench.out / "records" / f"{record.id}.json"


def changed(bench: Any, record: Record, **fields: Any) -> Path:
    """A file of the record with other values: somebody's copy, under a name of its own."""
    number = len(list(bench.folder.glob("copy *.json")))
    path = bench.folder / f"copy {number}.json"
    path.write_text(json.dumps(json.loads(path_of(bench, record).read_text()) | fields))
    return path


def test_records_of_each_status_are_reproduced(bench: Any) -> None:
    found = records(bench)
    assert {record.status for record in found.values()} == {"ok", "failed", "n/a", "timeout"}
    names = [str(path_of(bench, record)) for record in found.values()]
    done = bench.call("verify", *names, "--workers", "2")
    assert done.returncode == 0, done.stdout + done.stderr
    lines = done.stdout.splitlines()
    assert [line.split()[:2] for line in lines[:-2]] == [["equal", record.id] for record in found.values()]
    assert lines[-1] == f"{len(found)} of {len(found)} records reproduced, {len(found)} of them to the last digit."
    assert lines[-2].endswith("out: 9 files as the run left them")
    by_id = {line.split()[1]: line for line in lines[:-2]}
    fine = by_id[found["toy_fine 0"].id]
    assert "1 score to the last digit" in fine and "same code, libraries, data, machine" in fine
    assert "n/a again, for the same reason" in by_id[found["toy_picky 0"].id]
    assert "timeout again, for the same reason" in by_id[found["toy_hang 0"].id]
    assert "[1/" in done.stderr, "progress goes elsewhere"


def test_changed_records_are_outside_and_what_differs_is_named(bench: Any) -> None:
    found = records(bench)
    fine = found["toy_fine 0"]
    content = json.loads(path_of(bench, fine).read_text())
    metric = content["metrics"]["mse"] | {"value": 0.5}
    libraries = content["environment"] | {"libraries": content["environment"]["libraries"] | {"torch": "1.0"}}
    failed = {"status": "failed", "reason": "why", "metrics": {}, "main_metric": None}
    files = [
        changed(bench, fine, metrics={"mse": metric}),
        changed(bench, fine, metrics={"mse": metric | {"stderr": 1.0}}, environment=libraries),
        changed(bench, fine, **failed),
        changed(bench, fine, environment=libraries),
        changed(bench, fine, code="0" * 16),
        changed(bench, found["toy_raise 0"], reason="KeyError: 'x'"),
    ]
    done = bench.call("verify", *map(str, files), "--json", "--workers", "1")
    assert done.returncode == 1, done.stderr
    outcomes = json.loads(done.stdout)
    assert [one["verdict"] for one in outcomes] == ["outside", "outside", "outside", "equal", "equal", "equal"]
    assert [one["passed"] for one in outcomes] == [False, False, False, True, True, True]
    value, elsewhere, status, library, code, reason = outcomes
    assert value["scores"][0]["then"] == 0.5
    assert value["scores"][0]["basis"] == "nothing differs, so that only equality counts"
    assert elsewhere["scores"][0]["basis"] == "no interval is stated, so that only equality counts"
    assert value["examples"] == "not compared with its own examples: it lies in no result folder"
    assert status["reason"] == "failed then, ok now"
    assert any(text.startswith("torch ") and "1.0 then" in text for text in library["differences"]["libraries"])
    assert code["differences"]["code"] and not value["differences"]["code"]
    assert "another reason: RuntimeError: the toy broke" in reason["reason"]


def test_a_record_falsified_by_a_part_of_its_standard_error_fails(bench: Any) -> None:
    """Its examples say so before anything runs; with examples that fit, nothing differs, so that equality counts."""
    fine = records(bench)["toy_fine 0"]
    copy = Store(bench.folder / "falsified").create()
    content = json.loads(path_of(bench, fine).read_text())
    outcomes = Store(bench.out).read_examples(fine.id)
    assert outcomes is not None
    # On some processors the toy adds without rounding, so that all of its errors are 0.
    step = 1.5 * (statistics.stdev(outcomes["mse"]) or 1.0) / len(outcomes["mse"]) ** 0.5
    content["metrics"]["mse"]["value"] += step
    false = from_json(json.dumps(content))
    for examples, verdict in (
        (outcomes, "contradiction"),
        ({"mse": [value + step for value in outcomes["mse"]]}, "outside"),
    ):
        copy.write(false, examples)
        done = bench.call("verify", fine.id, "--out", str(copy.folder))
        assert done.returncode == 1 and done.stdout.startswith(f"{verdict} {fine.id} "), done.stdout + done.stderr
        assert ("[1/" in done.stderr) == (verdict == "outside"), "a record that contradicts itself is not run"


def test_a_sample_of_a_folder_with_a_changed_record(bench: Any) -> None:
    folder = bench.folder / "changed"
    shutil.copytree(bench.out, folder)
    file = folder / "records" / f"{records(bench)['toy_raise 0'].id}.json"
    file.write_text(file.read_text().replace("the toy broke", "the toy ended"))
    done = bench.call("verify", str(folder), "--sample", "1", "--seed", "4")
    assert "drew 1 of 2 records with a score, seed 4" in done.stderr
    first, second, _ = done.stdout.splitlines()
    assert first.startswith("equal ") and second == f"{folder}: changed since its run ended: records/{file.name}"
    assert done.returncode == 1


def test_what_is_no_record_is_one_line(bench: Any) -> None:
    """What is said of each such name: `test_lookup.py`."""
    done = bench.call("verify", "0123")
    assert done.returncode == 2
    assert "is no file: give the JSON file of a record, or its id and --out FOLDER" in done.stderr
    assert len(done.stderr.splitlines()) == 2, "what it is about, and the mistake"


def test_what_is_gone_is_named_and_the_others_are_verified(bench: Any) -> None:
    """All that can be gone: `test_rebuild.py`."""
    found = records(bench)
    cell = json.loads(path_of(bench, found["toy_fine 0"]).read_text())["cell"]
    changes = {
        "unknown method 'toy_gone'": {"method": "toy_gone"},
        "unknown key 'gone'": {"config": {"gone": 1}},
    }
    files = [changed(bench, found["toy_fine 0"], cell=cell | change) for change in changes.values()]
    done = bench.call("verify", *map(str, files), str(path_of(bench, found["toy_fine 1"])))
    assert done.returncode == 1, done.stderr
    *found_lines, last, folder, summary = done.stdout.splitlines()
    lines = [line for line in found_lines if not line.startswith("    ")]
    assert folder.endswith("as the run left them")
    assert len(lines) == len(changes) and last.startswith("equal ")
    for line, words in zip(lines, changes, strict=True):
        assert line.startswith("gone ") and "cannot be run here: " in line and words in line
    assert summary == f"1 of {len(changes) + 1} records reproduced, 1 of them to the last digit."


def test_a_folder_that_nobody_has_named_is_no_data(planned: list[Cell], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "missing_folder", lambda cell: "photographs is a folder of yours")
    (found,) = verifying.verify([Named(scored(planned[0], 0))], Options(workers=1), Console())
    assert found.judgement == Judgement("no data", reason="photographs is a folder of yours")
    assert not found.passed
