"""Methods of the kinds that the second half needs, each one file of a package outside: listed, planned, run, killed in
mid-training, resumed to the same result, reported with training costs; and each of them does what it says."""

import copy
import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.reports.records.record import Record
from sparsebench.reports.records.store import Store
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Setup
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.runner import check
from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.discovery.loading import backbone_loader, load_method, load_task
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
    teacher = ready("toy_pair").context.load_backbone("toy_teacher").model
    return sum(parameter.numel() for parameter in teacher.parameters())


def test_the_report_shows_training_costs_and_the_panel_from_outside(story: Story) -> None:
    assert CHAIN in story.reported
    assert "parameters trained" in " ".join((story.out / "report" / "table-vtab.md").read_text().split())
    page = (story.out / "report" / "index.html").read_text()
    costs = page.partition("<h3>Training costs</h3>")[2].partition("</table>")[0]
    assert all(label in costs for label in ("pair", "mixture", "stages", CHAIN)) and "–" not in costs
    assert "<h3>Mixture weights</h3>" in page and "mixture · synthetic" in page
    assert "Not drawn" not in page


# What each of them does, in this process.


def ready(*methods: str) -> Setup:
    """The task ready for a chain of methods on the backbone `tiny`."""
    names = ("tiny", "toy_teacher")
    loaders = {name: backbone_loader(find("backbone", name, "vtab"), name) for name in names}
    context = Context(
        suite="vtab",
        task="synthetic",
        seed=0,
        budget=Budget(epochs=2, batch_size=8),
        further={"toy_teacher": loaders["toy_teacher"]},
    )
    task = load_task(find("task", "synthetic", "vtab"))
    return task.setup(loaders["tiny"], context, [method_of(name) for name in methods])


def method_of(name: str, **config: Any) -> Method:
    return load_method(find("method", name), config)


def state_of(model: nn.Module) -> dict[str, Tensor]:
    return {name: parameter.detach().clone() for name, parameter in model.named_parameters()}


def moved(before: dict[str, Tensor], after: dict[str, Tensor]) -> set[str]:
    return {name for name in before if not torch.equal(before[name], after[name])}


@dataclass(frozen=True)
class Trained:
    """A student and a teacher before and after."""

    moved: dict[str, set[str]]
    teacher: dict[str, Tensor]


def train_pair(**config: Any) -> Trained:
    setup = ready("toy_pair")
    teacher = setup.context.load_backbone("toy_teacher")
    context = replace(setup.context, load_backbone={"toy_teacher": teacher}.__getitem__)
    method = method_of("toy_pair", **config)
    student = method.prepare(setup.model, context)
    models = {"student": student, "teacher": teacher.model}
    before = {name: state_of(model) for name, model in models.items()}
    method.fit(student, setup.data, context)
    after = {name: state_of(model) for name, model in models.items()}
    return Trained({name: moved(before[name], after[name]) for name in models}, after["teacher"])


def test_each_optimizer_moves_its_own_group_alone(plugin: None) -> None:
    resting_student = train_pair(learning_rate=0.0, teacher_rate=0.05)
    resting_teacher = train_pair(learning_rate=0.01, teacher_rate=0.0)
    both = train_pair(learning_rate=0.01, teacher_rate=0.05)
    assert not resting_student.moved["student"] and resting_student.moved["teacher"]
    assert resting_teacher.moved["student"] and not resting_teacher.moved["teacher"]
    assert both.moved["student"] and both.moved["teacher"]
    # The teacher learns from its own loss alone, so the student's steps change none of its own.
    assert not moved(resting_student.teacher, both.teacher)


def test_teacher_and_student_see_the_same_images_each_in_its_own_way(plugin: None) -> None:
    setup = ready("toy_pair")
    teacher = setup.context.load_backbone("toy_teacher")
    assert len(setup.data.train) == len(teacher.data.train) == 64
    for own, other in zip(setup.data.train, teacher.data.train, strict=True):
        assert own[0].shape == (3, 16, 16) and other[0].shape == (3, 8, 8)
        assert torch.equal(own[1], other[1])
    with pytest.raises(ValueError, match="no method of this row named the backbone 'other'"):
        setup.context.load_backbone("other")


def test_a_pair_passes_the_conformance_battery(plugin: None, subtests: pytest.Subtests) -> None:
    (case,) = check.cases("toy_pair")
    assert case.suite == "vtab", "the teacher is a backbone of that suite alone"
    for rule in check.BATTERY:
        with subtests.test(rule=rule.__name__):
            rule(case)


def train_mixture(**config: Any) -> dict[str, list[tuple[float, float]]]:
    setup = ready("toy_mixture")
    method = method_of("toy_mixture", learning_rate=0.01, **config)
    curves = method.fit(method.prepare(setup.model, setup.context), setup.data, setup.context)
    return {name: list(points) for name, points in curves.items() if name.startswith("weight of domain ")}


def test_the_weights_of_the_mixture_move_and_stay_shares(plugin: None) -> None:
    weights = train_mixture(every=4, rate=0.5)
    assert len(weights) == 4
    for points in weights.values():
        assert [step for step, _ in points] == [0, 4, 8, 12, 16]
        assert points[0][1] == 0.25
        assert len({weight for _, weight in points}) == 5
    for place in range(5):
        assert sum(points[place][1] for points in weights.values()) == pytest.approx(1)
    resting = train_mixture(every=4, rate=0.0)
    assert all(weight == pytest.approx(0.25) for points in resting.values() for _, weight in points)


def test_examples_are_drawn_by_the_weights(plugin: None) -> None:
    from secondhalf.toy_mixture import Mixture  # pyright: ignore[reportMissingImports]

    generator = torch.Generator().manual_seed(0)
    mixture = Mixture([["a"], ["b"], ["c"]], "".join, batch_size=200, batches=2, generator=generator)
    first, again = list(mixture)
    assert min(map((first + again).count, "abc")) > 80
    mixture.weights = torch.tensor([0.75, 0.25, 0.0])
    drawn = "".join(mixture)
    assert drawn.count("c") == 0 and 260 < drawn.count("a") < 340


def test_each_stage_moves_its_own_part(plugin: None, monkeypatch: pytest.MonkeyPatch) -> None:
    setup = ready("toy_stages")
    method = method_of("toy_stages", learning_rate=0.01)
    model = method.prepare(setup.model, setup.context)
    found = []
    train = type(method).train_groups

    def train_and_compare(self: Any, model: nn.Module, *arguments: Any, **options: Any) -> Any:
        before = state_of(model)
        result = train(self, model, *arguments, **options)
        found.append((options["stage"], result.steps, moved(before, state_of(model))))
        return result

    monkeypatch.setattr(type(method), "train_groups", train_and_compare)
    method.fit(model, setup.data, setup.context)
    (head, head_steps, head_moved), (body, body_steps, body_moved) = found
    assert (head, head_steps, body, body_steps) == ("head", 8, "body", 8)
    (path,) = [site.path for site in describe(model).heads]
    assert head_moved == {f"{path}.weight", f"{path}.bias"}
    assert body_moved and not body_moved & head_moved
    assert len(body_moved) + 2 == len(state_of(model))


def test_what_was_pruned_stays_zero_and_what_is_left_heals(plugin: None) -> None:
    setup = ready("toy_prune", "toy_round", "toy_heal")
    prune, rounding = method_of("toy_prune", fraction=0.5), method_of("toy_round")
    heal = method_of("toy_heal", learning_rate=0.01)

    def weights(model: nn.Module) -> list[Tensor]:
        sites = [site for block in describe(model).blocks for site in block.linears]
        return [site.get().weight.detach().clone() for site in sites]

    model = prune.prepare(setup.model, setup.context)
    pruned = weights(model)
    assert [round((weight == 0).float().mean().item(), 2) for weight in pruned] == [0.5] * len(pruned)
    model = rounding.prepare(model, setup.context)
    rounded = weights(model)
    for before, after in zip(pruned, rounded, strict=True):
        levels = after / (before.abs().amax(dim=1, keepdim=True) / 127)
        assert torch.allclose(levels, levels.round(), atol=1e-3)
        assert not torch.equal(before, after) and torch.allclose(before, after, atol=before.abs().max().item() / 254)
    model = heal.prepare(model, setup.context)
    loss_before = mean_loss(model, setup)
    heal.fit(model, setup.data, setup.context)
    assert mean_loss(model, setup) < loss_before
    for before, after in zip(rounded, weights(model), strict=True):
        assert torch.equal(before == 0, after == 0)
        assert not torch.equal(before, after)


@torch.no_grad()
def mean_loss(model: nn.Module, setup: Setup) -> float:
    model.eval()
    batch = setup.data.collate(list(setup.data.train))
    return setup.context.loss(copy.deepcopy(model), batch).item()
