"""Methods of the kinds that the second half needs, each one file of a package outside: listed, planned, run, killed in
mid-training, resumed to the same result, reported with training costs, and conforming."""

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.reports.page.html import unpack
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.conformance import methods as check
from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.discovery.loading import backbone_loader
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.runner.execution.execute import CHECKPOINTS, execute
from sparsebench.suites.runner.planning.expansion import cells_of
from sparsebench.suites.runner.planning.profile import load_profile

pytestmark = pytest.mark.timeout(600)  # the first test waits for three runs of the command line
PLUGIN = Path(__file__).parent / "plugin_second_half"
RATE = {"learning_rate": 0.01}
CHAIN = "prune, round, heal"
SUITE = {
    "seeds": 1,
    "backbones": ["tiny"],
    "methods": [
        {"name": "toy_pair", "config": RATE, "label": "pair"},
        {"name": "toy_mixture", "config": RATE, "label": "mixture"},
        {"name": "toy_stages", "config": RATE, "label": "stages"},
        {"chain": ["toy_prune", "toy_round", {"name": "toy_heal", "config": RATE}], "label": CHAIN},
    ],
    "tasks": ["synthetic"],
    "budget": {"epochs": 4, "batch_size": 8},
    "checkpoints": True,
}
STEPS = 4 * 8
"""Of each row: four epochs of 64 images."""
HOLD = {"toy_pair": 5, "toy_mixture": 5, "toy_stages body": 5, "toy_heal": 5}
"""Where each training is killed; the newest checkpoint is then one of step 4."""


@pytest.fixture(scope="module")
def plugin() -> Iterator[None]:
    """The package is installed in this process, too."""
    patch = pytest.MonkeyPatch()
    patch.syspath_prepend(PLUGIN)
    registry.entries.cache_clear()
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)
    patch.undo()
    registry.entries.cache_clear()


@dataclass(frozen=True)
class Story:
    """What was said and left behind along the way."""

    listed: str
    planned: str
    resumed: subprocess.CompletedProcess
    reported: str
    trace: Path
    out: Path
    alone: dict[str, Record]
    """The same cells in this process, without a stop and without checkpoints."""

    def records(self) -> dict[str, Record]:
        records, problems = Store(self.out).open().read_all()
        assert not problems
        return {record.cell.label: record for record in records}


def wait_for(paths: list[Path], process: subprocess.Popen) -> None:
    deadline = time.monotonic() + 200
    while not all(path.exists() for path in paths):
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < deadline, [path.name for path in paths if not path.exists()]
        time.sleep(0.1)


@pytest.fixture(scope="module")
def story(plugin: None, make_bench: Any, tmp_path_factory: pytest.TempPathFactory) -> Story:
    folder = tmp_path_factory.mktemp("second half")
    bench = make_bench(folder, PLUGIN)
    profile = bench.write_profile({"vtab": SUITE})
    trace = folder / "trace"
    trace.mkdir()
    bench.environment |= {"SECOND_HALF_TRACE": str(trace), "SECOND_HALF_HOLD": json.dumps(HOLD)}
    running = bench.start(*bench.run_arguments(workers=len(SUITE["methods"])))
    try:
        wait_for([trace / f"{name} waits" for name in HOLD], running)
    finally:
        os.killpg(running.pid, signal.SIGKILL)
        running.communicate()
    assert len(list((bench.out / CHECKPOINTS).iterdir())) == len(SUITE["methods"])
    del bench.environment["SECOND_HALF_HOLD"]
    listed = bench.call("list", "--suite", "vtab")
    planned = bench.call("plan", "--profile", str(profile), "--out", str(bench.out))
    resumed = bench.call(*bench.run_arguments(workers=1))
    reported = bench.call("report", str(bench.out))
    for done in (listed, planned, reported):
        assert done.returncode == 0, done.stderr
    store = Store(folder / "alone").create()
    alone = [store.read(execute(cell, store.folder).id) for cell in cells_of(load_profile(str(profile)))]
    return Story(
        listed=listed.stdout,
        planned=planned.stdout,
        resumed=resumed,
        reported=reported.stdout,
        trace=trace,
        out=bench.out,
        alone={record.cell.label: record for record in alone},
    )


def test_listed_and_planned(story: Story) -> None:
    for name in ("toy_pair", "toy_mixture", "toy_stages", "toy_heal"):
        assert f"    {name} " in story.listed
    assert "toy_teacher" in story.listed
    lines = story.planned.splitlines()
    assert "missing  vtab/synthetic pair on tiny with toy_teacher seed 0" in lines
    assert f"missing  vtab/synthetic {CHAIN} on tiny seed 0" in lines
    assert "4 missing" in lines[-1]


def test_each_training_goes_on_from_its_checkpoint(story: Story) -> None:
    assert story.resumed.returncode == 0, story.resumed.stdout + story.resumed.stderr
    for name, hold in HOLD.items():
        steps = [int(line) for line in (story.trace / name).read_text().split()]
        last = STEPS // 2 if name == "toy_stages body" else STEPS
        assert steps[:hold] == list(range(1, hold + 1))
        assert steps[hold:] == list(range(hold, last + 1)), f"{name} does not go on after step {hold - 1}"
    stage_before = [int(line) for line in (story.trace / "toy_stages head").read_text().split()]
    assert stage_before == list(range(1, STEPS // 2 + 1)), "the stage that had ended was trained again"


def test_the_result_is_that_of_a_run_without_a_stop(story: Story) -> None:
    records = story.records()
    assert records.keys() == story.alone.keys() == {row["label"] for row in SUITE["methods"]}
    for label, alone in story.alone.items():
        record = records[label]
        assert record.status == alone.status == "ok", record.reason or alone.reason
        assert record.id == alone.id
        assert (record.metrics, record.curves) == (alone.metrics, alone.curves), label
    assert not list((story.out / CHECKPOINTS).iterdir())


def test_records_hold_the_chain_the_teacher_and_what_training_took(story: Story) -> None:
    records = story.records()
    assert [link.method for link in records[CHAIN].cell.links] == ["toy_prune", "toy_round", "toy_heal"]
    assert records[CHAIN].cell.then[-1].config["learning_rate"] == 0.01
    assert records["pair"].cell.further_backbones == ["toy_teacher"]
    trained = {}
    for label, record in records.items():
        assert record.training is not None and record.costs is not None
        assert record.training.steps == STEPS and record.training.flops and record.training.seconds
        assert record.training.peak_memory and record.training.peak_memory > 1 << 20
        trained[label] = record.training.params
    # Each row but the pair trains just its model, whose parameters the two stages share out between them.
    model = records[CHAIN].costs.params_total
    assert trained == {"pair": model + parameters_of_the_teacher(), "mixture": model, "stages": model, CHAIN: model}


def parameters_of_the_teacher() -> int:
    """Those of its body, and a head of four classes."""
    body = backbone_loader(find("backbone", "toy_teacher", "vtab"), "toy_teacher")(torch.Generator())
    return sum(parameter.numel() for parameter in body.parameters()) + 4 * (body.width + 1)


def test_the_report_shows_training_costs_and_the_panel_from_outside(story: Story) -> None:
    assert CHAIN in story.reported
    assert "parameters trained" in " ".join((story.out / "report" / "table-vtab.md").read_text().split())
    page = unpack((story.out / "report" / "index.html").read_text())
    (track,) = page["tracks"]
    costs = {row["name"]: [row[f"t{number}t"] for number in range(len(track["training"]))] for row in track["rows"]}
    for label in ("pair", "mixture", "stages", CHAIN):
        assert costs[label] and "–" not in costs[label]
    (weights,) = [sheet for sheet in page["sheets"] if sheet["title"] == "Mixture weights"]
    assert any("mixture · synthetic" in block.get("title", "") for block in weights["blocks"])
    assert "Not drawn" not in str(page["sheets"])


def test_a_pair_passes_the_conformance_battery(plugin: None, subtests: pytest.Subtests) -> None:
    (case,) = check.cases("toy_pair")
    assert case.suite == "vtab", "the teacher is a backbone of that suite alone"
    for rule in check.BATTERY:
        with subtests.test(rule=rule.__name__):
            rule(case)
