"""The published protocol on a built folder, through the command line: done, not applicable, or refused."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from sparsebench.suites.runner.discovery.registry import entries

from ...data.vision.vtab1k.kitti import write_kitti
from ...data.vision.vtab1k.photographs import write_photographs
from ..runner.conftest import Bench

PROFILE = {
    "vtab": {
        "seeds": 1,
        "budget": {"epochs": 1, "batch_size": 64},
        "backbones": ["tiny"],
        "methods": ["linear_probe", {"name": "bitfit", "config": {"learning_rate": 0.01}}],
        "tasks": ["vtab1k_published_kitti", "vtab1k_published_svhn"],
    }
}


def test_the_nineteen_tasks_are_those_of_the_other_family() -> None:
    names = entries("task", "vtab")
    published = {name: entry for name, entry in names.items() if name.startswith("vtab1k_published_")}
    assert len(published) == 19
    for name, entry in published.items():
        other = names["vtab1k_" + name.removeprefix("vtab1k_published_")]
        assert entry.row is not None and other.row is not None
        assert [entry.row[key] for key in ("group", "classes")] == [other.row[key] for key in ("group", "classes")]


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    found = Bench(tmp_path)
    write_kitti(tmp_path / "vtab")
    found.environment |= {"SPARSEBENCH_VTAB1K": str(tmp_path / "vtab"), "SPARSEBENCH_CACHE": str(tmp_path / "cache")}
    found.write_profile(PROFILE)
    return found


def test_the_command_chooses_trains_and_scores(bench: Any) -> None:
    done = bench.call(*bench.run_arguments(1), timeout=900)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in (bench.out / "records").glob("*.json")]
    by_status = {status: [record for record in records if record["status"] == status] for status in ("ok", "n/a")}
    assert [len(found) for found in by_status.values()] == [2, 2]
    assert all("has no folder svhn" in record["reason"] for record in by_status["n/a"])
    for record in by_status["ok"]:
        assert record["metrics"]["accuracy"]["n"] == 711 and record["metrics"]["val accuracy"]["n"] == 200
        protocol = record["details"]["protocol"]
        assert protocol["rows"] == 1000 and protocol["head"] == 32 * 4 + 4
        assert protocol["inputs"].startswith("16 x 16, ") and protocol["inputs"].endswith("mean 0.5, std 0.5")
        trials = record["details"]["choice"]["trials"]
        assert len(trials) == (5 if record["cell"]["method"] == "linear_probe" else 3)
        assert {"vtab-1k"} == {read["source"] for read in record["data"]}

    shutil.rmtree(bench.out)
    (bench.folder / "vtab" / "kitti" / "images" / "test" / "000003.jpg").write_bytes(b"")
    (bench.folder / "vtab" / "kitti" / "SHA256SUMS").unlink()
    refused = bench.call(*bench.run_arguments(1))
    assert refused.returncode == 2
    assert "000003.jpg is no readable image" in refused.stderr and refused.stderr.count("\n") == 1
    assert not list((bench.out / "records").glob("*")), "nothing trained"


@pytest.mark.data
@pytest.mark.timeout(900)
def test_photographs_of_a_user_s(tmp_path: Path) -> None:
    """A few, at 160 pixels, through the rows of the profile; the whole folder is the same with other numbers of rows.

    It has the layout of VTAB-1K and is none: no record says so.
    """
    found = Bench(tmp_path)
    del found.environment["SPARSEBENCH_OFFLINE"]
    folder = write_photographs(tmp_path / "photographs", {"train800": 32, "val200": 8, "test": 16})
    found.environment["SPARSEBENCH_OWN_IMAGES"] = str(folder)
    arguments = ("vtab", "run", "--profile", "own-images", "--set", "budget.epochs=1", "--out", str(found.out))
    done = found.call(*arguments, "--workers", "1", timeout=800)
    assert done.returncode == 0, done.stdout + done.stderr
    records = [json.loads(path.read_text()) for path in (found.out / "records").glob("*.json")]
    methods = {"linear_probe", "random_features", "adapter", "sparse_adapter", "idat"}
    assert {record["cell"]["method"] for record in records} == methods
    for record in records:
        assert record["status"] == "ok" and record["metrics"]["accuracy"]["n"] == 16
        assert record["details"]["protocol"]["inputs"].startswith("160 x 160, ")
        assert "own-images" in {read["source"] for read in record["data"]}
        assert record["cell"]["task"] == "own_images" and "vtab1k" not in json.dumps(record).lower()
    by_method = {record["cell"]["method"]: record for record in records}
    teachers = {name: record["training"]["teacher"] for name, record in by_method.items()}
    assert {name for name, teacher in teachers.items() if teacher is not None} == {"idat"}
    assert teachers["idat"]["params_total"] > 3_000_000 > 100_000 > teachers["idat"]["params"] > 0
    plain, taught = by_method["adapter"], by_method["idat"]
    assert taught["details"]["protocol"]["trained"] == plain["details"]["protocol"]["trained"]
    for name in ("params_total", "params_active", "flops", "bytes"):
        assert taught["costs"][name] == plain["costs"][name], "inference is the student's alone"
