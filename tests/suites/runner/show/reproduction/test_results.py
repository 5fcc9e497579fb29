"""A table end to end: a folder of VTAB-1K's form with drawn images, two rows with random weights."""

import json
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables.matrix import Row, matrices
from sparsebench.suites.runner.show.reproduction.plan import plan_of
from sparsebench.suites.runner.show.reproduction.results import whose

from .....data.vision.vtab1k.kitti import write_kitti
from .....reports.make_records import record
from ...conftest import Bench

ROW = Row("dense", "hf:folder")
RUN = ("reproduce", "petl-vision", "--stand-in", "--workers", "1")


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


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    found = Bench(tmp_path)
    write_kitti(tmp_path / "vtab")
    found.environment["SPARSEBENCH_CACHE"] = str(tmp_path / "cache")
    return found


def test_a_stand_in_stands_beside_the_published_rows(bench: Bench) -> None:
    done = bench.call(*RUN, "--data", str(bench.folder / "vtab"), "--out", str(bench.out), "--json", timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    (table,) = json.loads(done.stdout)["tables"]
    (block,) = table["comparison"]
    assert table["folder"] == str(bench.out)
    place = [task for task, _ in block["columns"]].index("kitti")
    rows = {(row["who"], row["name"]): row["values"][place] for row in block["rows"]}
    assert {name for who, name in rows if who == "stand-in"} == {"linear", "bitfit"}
    assert {who for who, _ in rows} == {"paper", "stand-in"}
    assert isinstance(rows["paper", "bitfit"], str)
    score = rows["stand-in", "bitfit"]
    assert score["unit"] == "%" and score["low"] <= score["value"] <= score["high"]
    order = [(row["who"], row["name"]) for row in block["rows"]]
    under = order.index(("paper", "bitfit")) + 1
    assert order[under] == ("stand-in", "bitfit")
