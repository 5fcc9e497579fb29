"""What the report is told of each suite, read from files without importing them."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Metric, Record
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import suite_table
from sparsebench.suites.runner.console import open_console
from sparsebench.suites.runner.discovery.registry import Entry
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.summary import MAX_TERMINAL_ROWS, compare_rows, print_table, suite_infos

from . import cells


def test_methods_say_what_they_are_there_for() -> None:
    """R17: copies of the training set are a ceiling, random experts a control; neither wins anything."""
    for info in suite_infos().values():
        assert info.roles["moe_random"] == "control"
        assert {"criterion": "random"} in info.controls["sparse_adapter"]
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
    monkeypatch.setattr("sparsebench.suites.runner.summary.entries", lambda kind: {"mine": entry})
    with pytest.raises(UsageError, match="unknown role 'controls'; did you mean control"):
        suite_infos()


def record(label: str, backbone: str, seed: int, value: float) -> Record:
    place = {"suite": "molecules", "task": "freesolv", "group": "physics", "backbone": backbone, "seed": seed}
    cell = replace(cells.INFO, method=label, label=label, **place)
    metric = Metric(value=value, stderr=0.1, higher_is_better=False, unit="kcal/mol")
    name = f"{label}-{backbone}-{seed}"
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


def test_the_terminal_shows_the_first_rows_of_very_many(capsys: pytest.CaptureFixture) -> None:
    made = [record(f"method-{number:03d}", "b", 0, 1.0) for number in range(MAX_TERMINAL_ROWS + 3)]
    table = suite_table(matrices(made)[0], suite_infos()["molecules"])
    print_table(table, open_console(width=120))
    shown = capsys.readouterr().out
    assert shown.count("method-0") % MAX_TERMINAL_ROWS == 0 and shown.count("method-0")
    assert "and 3 more rows of Molecules: all are on the page" in shown
