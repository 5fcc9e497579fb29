"""What the report is told of each suite, read from files without importing them."""

import json
import re
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.discovery.registry import Entry
from sparsebench.suites.runner.documents import ReportDocument
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.results.summary import (
    compare_rows,
    print_report,
    report_document,
    suite_infos,
    write_report,
)

from .. import cells
from ..test_documents import check


def test_methods_say_what_they_are_there_for() -> None:
    """R17: copies of the training set are a ceiling, random experts a control; neither wins anything."""
    for info in suite_infos().values():
        assert info.roles["moe_random"] == "control"
        assert {"criterion": "random"} in info.controls["sparse_adapter"]
        assert info.deployed == {"pad_net": {"compact": True}}
        assert not info.controls["lora"]
        assert "lora" not in info.roles


def test_baselines_and_margins_are_those_of_the_suites() -> None:
    infos = suite_infos()
    assert (infos["llm"].baseline, infos["llm"].group_baselines["text"]) == ("dense", "linear_probe")
    assert infos["vtab"].baseline == "linear_probe"
    assert {name: info.margins["share"] for name, info in infos.items()} == dict.fromkeys(infos, 0.01)


def test_records_of_a_method_that_was_renamed_keep_its_role() -> None:
    roles = suite_infos()["molecules"].roles
    assert roles["training_copies"] == roles["training_set"] == "ceiling"


def test_an_unknown_role_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "mine.py"
    path.write_text('ROLE = "controls"')
    entry = Entry("method", "mine", "mine", path)
    monkeypatch.setattr("sparsebench.suites.runner.results.summary.entries", lambda kind: {"mine": entry})
    with pytest.raises(UsageError, match="unknown role 'controls'; did you mean control"):
        suite_infos()


def record(label: str, backbone: str, seed: int, value: float) -> Record:
    place = {"suite": "molecules", "task": "freesolv", "group": "physics", "backbone": backbone, "seed": seed}
    cell = replace(cells.INFO, method=label, label=label, **place)
    metric = Metric(value=value, stderr=0.1, higher_is_better=False, unit="kcal/mol")
    name = f"{label}-{backbone}-{seed}".replace(" ", "-")
    scores = {"status": "ok", "reason": None, "metrics": {"rmse": metric}, "main_metric": "rmse"}
    return cells.record(id=name, key=name, cell=cell, **scores)


def filled(folder: Path, outcomes: Sequence[tuple[str, str, int, float]]) -> Store:
    store = Store(folder).create()
    for one in outcomes:
        store.write(record(*one))
    return store


def test_rows_on_different_backbones_are_compared_and_the_backbones_named(tmp_path: Path, capsys, monkeypatch) -> None:
    """R17: `compare "GIN from scratch" linear_probe` printed an empty table."""
    monkeypatch.setenv("COLUMNS", "200")
    outcomes = [("GIN", "gin", seed, 2.5 + 0.1 * seed) for seed in range(3)]
    filled(tmp_path, [*outcomes, ("probe", "ecfp4", 0, 5.5), ("probe", "graph2seq", 0, 4.8)])
    compare_rows(tmp_path, "GIN", "probe", ["molecules"])
    text = capsys.readouterr().out
    for part in ("gin − ecfp4", "gin − graph2seq", "the backbones differ: gin against ecfp4", "better"):
        assert part in text


def test_a_broken_file_of_examples_is_told_and_stops_nothing(tmp_path: Path, capsys) -> None:
    store = filled(tmp_path, [("a", "gin", 0, 2.0), ("b", "gin", 0, 3.0)])
    (store.examples / "a-gin-0.json.gz").write_bytes(b"cut")
    compare_rows(tmp_path, "a", "b", ["molecules"])
    text = " ".join(capsys.readouterr().out.split())
    assert "compared without its examples: examples of a-gin-0 cannot be read" in text


def test_the_rows_of_two_folders_stand_side_by_side(tmp_path: Path, capsys: pytest.CaptureFixture) -> None:
    """One's own row beside the committed ones, compared with a baseline that only those have."""
    ours = tmp_path / "ours"
    filled(ours, [("linear_probe", "gin", seed, 3.0 + 0.01 * seed) for seed in range(3)])
    mine = tmp_path / "mine"
    filled(mine, [("my method", "gin", seed, 2.0 + 0.02 * seed) for seed in range(3)])
    print_report([mine, ours], tmp_path / "page")
    shown = capsys.readouterr().out
    assert re.search(r"my method +2\.020 ± \S+ +better", shown)
    report = write_report([mine, ours], tmp_path / "page")
    document = report_document(report)
    (family,) = document["suites"]["molecules"]
    assert {row["label"]: row["outcome"] for row in family["rows"]} == {"linear_probe": None, "my method": "better"}
    assert json.loads(json.dumps(document))["folders"] == [str(mine), str(ours)]
    with pytest.raises(UsageError, match="named twice"):
        write_report([mine, tmp_path / "ours" / ".." / "mine"], tmp_path / "page")


def test_a_program_is_told_why_a_cell_has_no_score(tmp_path: Path) -> None:
    store = filled(tmp_path, [("linear_probe", "gin", 0, 3.0)])
    for label, status, reason in (("a", "n/a", "no blocks"), ("b", "failed", "KeyError: 'x'")):
        lost = record(label, "gin", 0, 0.0)
        store.write(replace(lost, id=label, status=status, reason=reason, metrics={}, main_metric=None))
    document = report_document(write_report([tmp_path], tmp_path / "page"))
    check(document, ReportDocument)
    told = {(one["label"], one["status"], one["reason"]) for one in document["without_score"]}
    assert told == {("a", "n/a", "no blocks"), ("b", "failed", "KeyError: 'x'")}


def test_records_that_a_newer_one_of_other_code_replaces_are_counted(tmp_path: Path, capsys) -> None:
    """Of two machines with unlike libraries, the rows of the first were gone without a word."""
    for name, finished in (("first", "2026-01-01"), ("last", "2026-01-02")):
        store = Store(tmp_path / name).create()
        store.write(replace(record("a", "gin", 0, 2.0), id=name, code=name, finished=finished))
    print_report([tmp_path / "first", tmp_path / "last"], tmp_path / "page")
    text = " ".join(capsys.readouterr().out.split())
    assert "1 record is not shown: a newer one, of other code or libraries, is of the same cell" in text


def test_a_folder_without_records_is_refused(tmp_path: Path) -> None:
    Store(tmp_path).create()
    with pytest.raises(UsageError, match="holds no readable record"):
        write_report([tmp_path], tmp_path / "page")
