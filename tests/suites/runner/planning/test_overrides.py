"""`--set` and `--limit`."""

from dataclasses import replace

import pytest

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.overrides import limited, override, read_setting
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import Profile, load_profile


@pytest.fixture
def profile() -> Profile:
    return load_profile("quick", ["llm"])


def changed(profile: Profile, *settings: str) -> Profile:
    return override(profile, [read_setting(text) for text in settings])[0]


def budgets(profile: Profile) -> dict[str, dict]:
    (plan,) = profile.plans
    return {task.name: {**plan.budget, **task.budget} for task in plan.tasks}


def test_values_are_written_as_in_a_profile() -> None:
    for text, value in (
        ("a.b=8", 8),
        ("a.b=0.5", 0.5),
        ("a.b=1e-3", 1e-3),
        ("a.b=true", True),
        ("a.b=null", None),
        ("a.b=[q, v]", ["q", "v"]),
        ("a.b=none", "none"),
        ("a.b=x=y", "x=y"),
    ):
        setting = read_setting(text)
        assert (setting.key, setting.value) == ("a.b", value)
        assert type(setting.value) is type(value)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rank", "write KEY=VALUE"),
        ("=8", "write KEY=VALUE"),
        ("a.b=[", "is no value as in YAML"),
        ("a.b=.nan", "no finite number"),
        ("a.b=2020-01-01", "put it into quotes"),
    ],
)
def test_what_is_no_setting(text: str, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        read_setting(text)


def test_a_duration_takes_the_place_of_another_one_in_every_task(profile: Profile) -> None:
    assert budgets(profile)["trec6"]["epochs"] == 1
    for name, budget in budgets(changed(profile, "budget.steps=200")).items():
        assert budget["steps"] == 200, name
        assert not {"epochs", "tokens"} & budget.keys(), name
    cells = expand(changed(profile, "budget.steps=7", "lora.blocks=1"))
    assert {cell.info.budget["steps"] for cell in cells} == {7}


def test_one_task_alone(profile: Profile) -> None:
    (plan,) = changed(profile, "task.trec6.steps=9", "task.trec6.seeds=1").plans
    trec6 = next(task for task in plan.tasks if task.name == "trec6")
    sizes = dict(next(task for task in profile.plans[0].tasks if task.name == "trec6").budget)
    del sizes["epochs"]
    assert trec6.budget == sizes | {"steps": 9}
    assert trec6.seeds == 1
    assert [task for task in plan.tasks if task.name != "trec6"] == [
        task for task in profile.plans[0].tasks if task.name != "trec6"
    ]


def test_what_a_profile_says_of_a_suite(profile: Profile) -> None:
    (plan,) = changed(profile, "seeds=2", "timeout=9.5", "checkpoints=true", "dtype=float64").plans
    assert (plan.seeds, plan.timeout, plan.checkpoints, plan.dtype) == (2, 9.5, True, "float64")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        (["budget.steps=0"], "steps=0 must be 1 or more"),
        (["budget.steps=many"], "steps is 'many'"),
        (["budget.step=3"], "a budget has no 'step'; did you mean steps"),
        (["budget.steps=3", "budget.epochs=3"], "training lasts one of epochs, steps, tokens"),
        (["task.trec6.steps=3", "task.trec6.tokens=3"], "training lasts one of"),
        (["task.trec.steps=3"], "no task 'trec'; did you mean trec6?"),
        (["task.trec6.stepp=3"], "a budget has no 'stepp'"),
        (["task.trec6.seeds=0"], "must be a whole number from 1"),
        (["seeds=true"], "must be a whole number from 1"),
        (["timeout=.inf"], "no finite number"),
        (["timeout=0"], "must be a number of seconds above 0"),
        (["checkpoints=1"], "must be true, false or keep"),
        (["dtype=float23"], "did you mean float32"),
        (["sedes=3"], "did you mean seeds?"),
    ],
)
def test_what_cannot_be_set(profile: Profile, settings: list[str], message: str) -> None:
    with pytest.raises(UsageError, match=message.replace("?", r"\?")):
        changed(profile, *settings)


def test_the_same_setting_twice_the_last_one_counts(profile: Profile) -> None:
    assert changed(profile, "seeds=2", "seeds=4").plans[0].seeds == 4
    assert budgets(changed(profile, "budget.steps=2", "budget.steps=4"))["trec6"]["steps"] == 4


def test_a_limit_is_the_most_and_never_more(profile: Profile) -> None:
    before = {name: budget["test_examples"] for name, budget in budgets(profile).items()}
    assert min(before.values()) < 10 < max(before.values())
    limit = replace(profile, plans=(limited(profile.plans[0], 10),))
    after = {name: budget["test_examples"] for name, budget in budgets(limit).items()}
    assert after == {name: min(10, count) for name, count in before.items()}
    whole = replace(profile.plans[0], budget={}, tasks=(replace(profile.plans[0].tasks[0], budget={}),))
    assert limited(whole, 10).budget == {"test_examples": 10}
