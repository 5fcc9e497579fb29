"""The cells of every built-in profile, and what two of them share."""

from dataclasses import replace

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.discovery.registry import suites
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.identity.device import device_kind
from sparsebench.suites.runner.planning import expansion
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan, built_in, load_profile, narrow
from sparsebench.suites.runner.planning.rows import Row, TaskRow


def test_every_built_in_profile_expands_and_its_baseline_is_a_row() -> None:
    for name, owners in built_in().items():
        profile = load_profile(name)
        cells = expand(profile)
        assert {plan.suite for plan in profile.plans} == set(owners)
        assert len({cell.id for cell in cells}) == len(cells), f"profile {name} lists a cell twice"
        for plan in profile.plans:
            runs = [cell.info for cell in cells if cell.info.suite == plan.suite and not cell.reason]
            about = suites()[plan.suite]
            if any(info.group not in about.group_baselines for info in runs):
                assert about.baseline in {info.label for info in runs}
            for group in {info.group for info in runs} & about.group_baselines.keys():
                labels = {info.label for info in runs if info.group == group}
                assert about.group_baselines[group] in labels, f"profile {name}: group {group!r}"


def test_rivals_share_everything_but_the_method() -> None:
    cells = [cell for cell in expand(load_profile("smoke", ["molecules"])) if not cell.reason]
    by_task = {(c.info.task, c.info.budget["epochs"], c.info.dtype) for c in cells}
    assert len(by_task) == len({cell.info.task for cell in cells})


def test_a_cell_knows_how_many_seeds_are_planned_and_whether_they_matter() -> None:
    cells = [cell for cell in expand(load_profile("quick", ["molecules"])) if not cell.reason]
    numbers: dict[tuple[str, str, str], set[int]] = {}
    for cell in cells:
        place = (cell.info.label, cell.info.backbone, cell.info.task)
        numbers.setdefault(place, set()).add(cell.info.seed)
    for cell in cells:
        place = (cell.info.label, cell.info.backbone, cell.info.task)
        assert numbers[place] == set(range(cell.planned_seeds))
        assert cell.stochastic or cell.planned_seeds == 1
    assert {cell.stochastic for cell in cells} == {True, False}


def test_a_student_chooses_its_teacher_where_the_row_says_so() -> None:
    """The cell is the one that names the teacher; a backbone without a smaller one is a reason."""
    backbones = ("vit_tiny_b", "vit_tiny_s")

    def cells(teacher: str, backbones: tuple[str, ...]) -> list[Cell]:
        row = Row((Link(method="idat", config={"teacher": teacher}),), "iDAT")
        return expand(Profile("own", (SuitePlan("vtab", (row,), (TaskRow("digits"),), backbones, seeds=1),)))

    (chosen, none), (named,) = cells("smaller", backbones), cells("vit_tiny_s", backbones[:1])
    assert chosen.id == named.id and chosen.info == named.info and chosen.info.further_backbones == ["vit_tiny_s"]
    assert none.reason == "vit_tiny_s names no smaller backbone to go beside it: say which"


@pytest.mark.parametrize(("task", "choices"), [("bpb_domains", "encyclopedic, code, law"), ("rte_tuned", "none: its")])
def test_calibration_domains_that_a_task_does_not_have_are_an_error_of_the_plan(task: str, choices: str) -> None:
    row = Row((Link(method="dense"),), "dense")
    budget = {"calibration_domains": ["poems"]}
    plan = SuitePlan("llm", (row,), (TaskRow(task, budget),), ("tiny",))
    with pytest.raises(UsageError, match=f"task '{task}' has no 'poems'; it has {choices}"):
        expand(Profile("own", (plan,)))


def test_a_backbone_that_needs_an_argument_is_refused_without_one() -> None:
    plan = SuitePlan("llm", (Row((Link(method="dense"),), "dense"),), (TaskRow("bpb_domains", {}),), ("hf:",))
    with pytest.raises(UsageError, match=r"'hf' needs an argument, hf:\.\.\.: see `sparsebench show hf`"):
        expand(Profile("own", (plan,)))


def test_a_task_without_epochs_cannot_be_watched() -> None:
    row = Row((Link(method="dense"),), "dense")
    plan = SuitePlan("llm", (row,), (TaskRow("bpb_domains", {"watch": ["test"]}),), ("tiny",))
    with pytest.raises(UsageError, match=r"watch: \['test'\], but the task 'bpb_domains' has no epochs"):
        expand(Profile("own", (plan,)))
    probe = Row((Link(method="linear_probe"),), "linear_probe")
    cells = []
    for budget in ({}, {"watch": ["adapters"]}):
        possible = SuitePlan("vtab", (probe,), (TaskRow("synthetic", budget),), ("tiny",))
        cells.append(expand(Profile("own", (possible,)))[0])
    plain, watched = cells
    assert "watch" not in plain.info.budget and list(watched.info.budget["watch"]) == ["adapters"]
    assert plain.key != watched.key


@pytest.mark.parametrize(("suite", "task"), [("llm", "bpb_domains"), ("vtab", "mini_digits")])
def test_a_task_without_a_validation_part_of_its_own_does_not_rest(suite: str, task: str) -> None:
    row = Row((Link(method="dense" if suite == "llm" else "linear_probe"),), "row")
    plan = SuitePlan(suite, (row,), (TaskRow(task, {"rest": 0.01}),), ("tiny",))
    with pytest.raises(UsageError, match=f"rest: 0.01, but the task '{task}' has no validation part"):
        expand(Profile("own", (plan,)))


def test_label_and_layout_do_not_change_a_key_but_a_config_does() -> None:
    plan = load_profile("smoke", ["molecules"])
    first = expand(plan)[0]
    renamed = narrow(plan.plans[0], [first.info.method], [], [first.info.backbone], 1)
    cells = [c for c in expand(type(plan)(plan.name, (renamed,))) if c.info.task == first.info.task]
    assert first.key in {cell.key for cell in cells}
    more = narrow(plan.plans[0], [first.info.method], [], [first.info.backbone], 1)
    changed = type(plan)(plan.name, (type(more)(**{**vars(more), "dtype": "float64"}),))
    assert first.key not in {cell.key for cell in expand(changed)}


def test_the_device_that_was_asked_for_is_in_every_cell_and_its_code() -> None:
    profile = load_profile("smoke", ["molecules"])
    here = expand(profile)
    there = expand(replace(profile, device="cuda" if here[0].device == "cpu" else "cpu"))
    assert {cell.device for cell in here} == {device_kind()}
    assert {cell.device for cell in there}.isdisjoint({device_kind()})
    for one, other in zip(here, there, strict=True):
        assert one.key == other.key and one.code != other.code
    assert [cell.id for cell in expand(replace(profile, device=device_kind()))] == [cell.id for cell in here]


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_a_cell_names_the_dtype_that_auto_stands_for(dtype: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(expansion, "fast_dtype", lambda device: dtype)
    profile = load_profile("smoke", ["molecules"])
    (plan,) = profile.plans
    chosen = replace(profile, plans=(replace(plan, dtype="auto"),))
    named = replace(profile, plans=(replace(plan, dtype=dtype),))
    assert {cell.info.dtype for cell in expansion.cells_of(chosen)} == {dtype}
    assert [cell.id for cell in expansion.cells_of(chosen)] == [cell.id for cell in expansion.cells_of(named)]


def test_a_task_may_have_more_seeds_than_its_suite() -> None:
    profile = load_profile("smoke", ["molecules"])
    (plan,) = profile.plans
    tasks = tuple(replace(task, seeds=plan.seeds + 2) for task in plan.tasks)
    cells = [cell for cell in expand(replace(profile, plans=(replace(plan, tasks=tasks),))) if not cell.reason]
    assert {cell.planned_seeds for cell in cells} <= {1, plan.seeds + 2}
    for cell in cells:
        same = [other.info.seed for other in cells if replace(other.info, seed=0) == replace(cell.info, seed=0)]
        assert same == list(range(cell.planned_seeds))


def test_of_tasks_of_one_name_the_shorter_training_comes_first() -> None:
    """The first seed of a training of an hour and a half stood before the second of one of six minutes."""
    rows = (Row((Link(method="linear_probe", config={}),), "probe"), Row((Link(method="lora", config={}),), "lora"))
    tasks = (
        TaskRow("digits", budget={"epochs": 9}),
        TaskRow("fashion_mnist", budget={"epochs": 9}),
        TaskRow("digits", budget={"epochs": 3}),
        TaskRow("digits", budget={"epochs": 6}, seeds=1),
    )
    cells = expand(Profile("own", (SuitePlan("vtab", rows, tasks, ("tiny",), seeds=2),)))
    order = [(cell.info.label, cell.info.task, cell.info.budget["epochs"], cell.info.seed) for cell in cells]
    of_a_row = [
        ("fashion_mnist", 9, 0),
        ("digits", 3, 0),
        ("fashion_mnist", 9, 1),
        ("digits", 3, 1),
        ("digits", 6, 0),
        ("digits", 9, 0),
        ("digits", 9, 1),
    ]
    assert order == [(label, *rest) for label in ("probe", "lora") for rest in of_a_row]
