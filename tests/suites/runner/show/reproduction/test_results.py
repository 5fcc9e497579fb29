"""Two tables end to end: a folder of VTAB-1K's form with drawn images, two rows each with random weights."""

import json
import subprocess
import sys
from collections.abc import Mapping
from typing import Any

import pytest

from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables.matrix import Row, matrices
from sparsebench.suites.runner.show.reproduction.plan import plan_of
from sparsebench.suites.runner.show.reproduction.results import whose

from .....data.vision.vtab1k.kitti import write_kitti
from .....reports.make_records import record
from ...conftest import Bench

ROW = Row("dense", "hf:folder")
PUBLISHED, UNKNOWN = "petl-vision", "idat-vtab-1k"
"""A table with figures, and one whose figures nobody could read."""
IN_ONE_PROCESS = """
import contextlib, sys
from sparsebench.suites.runner.cli import app

for table in sys.argv[1:]:
    options = ["--stand-in", "--workers", "1", "--limit", "20", "--data", "vtab", "--out", table, "--json"]
    sys.argv = ["sparsebench", "reproduce", table, *options]
    with open(f"{table}.json", "w") as file, contextlib.redirect_stdout(file), contextlib.suppress(SystemExit):
        app.main()
"""
"""Imports, which are half of what it costs, are paid for once."""


@pytest.mark.parametrize(
    ("total", "who", "said"),
    [
        (6_740_514_816, "ours", "ours"),
        (5_000_000_000, "ours", "ours"),
        (100_000, "ours", "another model"),
        (100_000, "stand-in", "stand-in"),
    ],
)
def test_a_checkpoint_of_another_size_is_not_called_ours(total: int, who: str, said: str) -> None:
    costs = Costs(params_total=total, unit="token")
    (matrix,) = matrices([record("dense", costs=costs, cell={"backbone": ROW.backbone})])
    assert whose(ROW, matrix, plan_of("v1-table-2"), who) == said


@pytest.fixture(scope="module")
def tables(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    """What the command says of both, with `--json`."""
    found = Bench(tmp_path_factory.mktemp("tables"))
    write_kitti(found.folder / "vtab")
    found.environment["SPARSEBENCH_CACHE"] = str(found.folder / "cache")
    done = subprocess.run(
        [sys.executable, "-c", IN_ONE_PROCESS, PUBLISHED, UNKNOWN],
        cwd=found.folder,
        env=found.environment,
        capture_output=True,
        text=True,
        timeout=900,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    files = {name: found.folder / f"{name}.json" for name in (PUBLISHED, UNKNOWN)}
    return {name: json.loads(file.read_text(encoding="utf-8"))["tables"][0] for name, file in files.items()}


def test_stand_ins_stand_below_the_published_rows(tables: Mapping[str, Any]) -> None:
    table = tables[PUBLISHED]
    (block,) = table["comparison"]
    assert table["folder"] == PUBLISHED
    place = [task for task, _ in block["columns"]].index("kitti")
    rows = {(row["who"], row["name"]): row["values"][place] for row in block["rows"]}
    assert {name for who, name in rows if who == "stand-in"} == {"linear", "bitfit"}
    assert {who for who, _ in rows} == {"paper", "stand-in"}
    assert isinstance(rows["paper", "bitfit"], str)
    check(rows["stand-in", "bitfit"])
    order = list(rows)
    assert order[order.index(("paper", "bitfit")) + 1] == ("stand-in", "bitfit")


def test_stand_ins_stand_alone_where_the_figures_are_unknown(tables: Mapping[str, Any]) -> None:
    table = tables[UNKNOWN]
    (block,) = table["comparison"]
    assert table["unknown"] and not table["published"]
    place = block["columns"].index(["vtab1k_published_kitti", "accuracy"])
    rows = {(row["who"], row["name"]): row["values"][place] for row in block["rows"]}
    assert rows.keys() == {("stand-in", "plain adapter"), ("stand-in", "iDAT, teacher=tiny")}
    for score in rows.values():
        check(score)


def check(score: dict[str, Any]) -> None:
    assert score["unit"] == "%" and score["low"] <= score["value"] <= score["high"]
