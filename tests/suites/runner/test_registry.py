"""Discovery by file and entry point, the hash of the code, profiles and plans."""

import ast

import pytest

from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.task import Task
from sparsebench.suites.runner.durations import Durations
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.loading import budget_fields, load_budget, load_method, load_task
from sparsebench.suites.runner.plan import compare, expand, to_run
from sparsebench.suites.runner.profile import built_in, load_profile, narrow
from sparsebench.suites.runner.registry import entries, find, load_class, suites
from sparsebench.suites.runner.summary import suite_infos
from sparsebench.suites.runner.table import read_table

SUITES = sorted(suites())


def test_the_three_suites() -> None:
    assert SUITES == ["llm", "molecules", "vtab"]


@pytest.mark.parametrize("suite", SUITES)
def test_every_task_and_backbone_can_be_read_without_importing_it(suite: str) -> None:
    for kind in ("task", "backbone"):
        for entry in entries(kind, suite).values():
            assert entry.caption, entry.path
            assert len(entry.caption) <= 120, entry.path
            assert isinstance(entry.sources, tuple)


@pytest.mark.parametrize("suite", SUITES)
def test_what_is_read_is_what_the_class_says(suite: str) -> None:
    for entry in entries("task", suite).values():
        task = load_task(entry)
        assert task.sources == entry.sources
        assert task.version == entry.constant("version", None) or entry.constant("version", None) is None


def test_every_method_is_one_class_with_a_caption() -> None:
    assert len(entries("method")) >= 8
    for entry in entries("method").values():
        assert entry.caption, entry.path
        assert issubclass(load_class(entry, Method), Method)


@pytest.mark.parametrize("suite", SUITES)
def test_task_files_are_short(suite: str) -> None:
    for entry in entries("task", suite).values():
        if entry.name != "synthetic":
            lines = len(entry.path.read_text().splitlines())
            assert lines - len(read_table(ast.parse(entry.path.read_text()), entry.path)) <= 40, entry.path


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


def test_the_report_knows_the_baseline_of_every_group() -> None:
    infos = suite_infos()
    assert {name: info.group_baselines for name, info in infos.items() if info.group_baselines} == {
        "llm": {"text": "linear_probe", "trained multiple choice": "dense"},
        "molecules": dict.fromkeys(
            ("generation", "reconstruction", "property control", "scaffolds", "generation smoke test"), "dense"
        ),
    }
    groups = {load_task(entry).group for entry in entries("task", "llm").values()}
    assert infos["llm"].group_baselines.keys() <= groups


def test_rivals_share_everything_but_the_method() -> None:
    cells = [cell for cell in expand(load_profile("smoke", ["molecules"])) if not cell.reason]
    by_task = {(c.info.task, c.info.budget["epochs"], c.info.dtype) for c in cells}
    assert len(by_task) == len({cell.info.task for cell in cells})


def test_label_and_layout_do_not_change_a_key_but_a_config_does() -> None:
    plan = load_profile("smoke", ["molecules"])
    first = expand(plan)[0]
    renamed = narrow(plan.plans[0], [first.info.method], [], [first.info.backbone], 1)
    cells = [c for c in expand(type(plan)(plan.name, (renamed,))) if c.info.task == first.info.task]
    assert first.key in {cell.key for cell in cells}
    more = narrow(plan.plans[0], [first.info.method], [], [first.info.backbone], 1)
    changed = type(plan)(plan.name, (type(more)(**{**vars(more), "dtype": "float64"}),))
    assert first.key not in {cell.key for cell in expand(changed)}


def test_states_and_reuse() -> None:
    cells = expand(load_profile("smoke", ["molecules"]))
    planned = compare(cells, [])
    assert {entry.state for entry in planned} <= {"missing", "n/a"}
    assert to_run(planned, "only") == []
    assert to_run(planned, "missing") == to_run(planned, "never") == to_run(planned, "always")
    assert all(cell.reason is None for cell in to_run(planned, "missing"))


def test_durations_take_the_nearest_kin() -> None:
    info = expand(load_profile("smoke", ["molecules"]))[0].info
    durations = Durations()
    assert durations.expect(info) is None
    durations.add(info, 3.0)
    durations.add(info, 5.0)
    assert durations.expect(info) == 4.0


def test_unknown_names_are_explained() -> None:
    with pytest.raises(UsageError, match="did you mean"):
        find("method", "full_tunning")
    with pytest.raises(UsageError, match="must define one Method, not 0"):
        load_class(find("backbone", "tiny", "molecules"), Method)
    with pytest.raises(UsageError, match="must define one Task, not 0"):
        load_class(find("method", "full_tuning"), Task)
    with pytest.raises(UsageError, match="unknown key 'rnk'"):
        load_method(find("method", "lora"), {"rnk": 4})


def test_a_whole_training_part_is_not_written_into_the_budget_so_that_old_keys_stay() -> None:
    assert budget_fields(Budget()).keys() == {"epochs", "batch_size", "test_examples", "calibration_examples"}
    few = load_budget({"epochs": 3}, {"train_fraction": 0.1})
    assert budget_fields(few)["train_fraction"] == 0.1 and Budget(**budget_fields(few)) == few
    with pytest.raises(UsageError, match=r"train_fraction=0\.0 must lie in"):
        load_budget({"train_fraction": 0})
