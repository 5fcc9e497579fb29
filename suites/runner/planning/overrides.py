"""`--set KEY=VALUE` and `--limit`: a profile with other values.

| key | what it sets |
| --- | --- |
| `method.rank` | the option `rank` of every method that has it |
| `lora.rank` | that of one method, in every row and chain |
| `budget.steps` | the budget of every task; epochs, steps and tokens take each other's place |
| `task.trec6.steps`, `task.trec6.seeds` | the budget or the seeds of one task |
| `seeds`, `timeout`, `checkpoints`, `dtype` | what a profile says of a suite |

A value is written as in a profile (YAML). The label of a row whose option was set shows it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

from ...contracts.budget import DURATIONS, Budget
from ..discovery.options import budget_options
from ..discovery.validation import build
from ..errors import UsageError, near
from . import values
from .option_overrides import Setting, with_option
from .profile import PLANNED_DTYPES, Profile, SuitePlan, with_seeds
from .profile_file import read_value
from .rows import TaskRow

SUITE_KEYS: Mapping[str, Callable[[Any, str], Any]] = {
    "seeds": values.seeds,
    "timeout": values.seconds,
    "checkpoints": values.checkpoints,
    "dtype": values.text,
}
"""What can be set of a suite's part of a profile, and what checks its value."""


def read_setting(text: str) -> Setting:
    """The setting that `KEY=VALUE` says. Raises `UsageError`."""
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise UsageError(f"--set {text}: write KEY=VALUE, for instance method.rank=8 or budget.steps=200")
    return Setting(key.strip(), read_value(value, f"--set {key.strip()}"))


def override(profile: Profile, settings: Sequence[Setting]) -> tuple[Profile, list[str]]:
    """The profile with other values, and what there is to say about them (rows that a setting did not reach).

    Raises `UsageError` for a key that there is not, a value of another type, and an option that no row has.
    """
    _check_durations(settings)
    notes = []
    plans = list(profile.plans)
    for setting in settings:
        place, _, name = setting.key.partition(".")
        if setting.key in SUITE_KEYS:
            plans = [_of_suite(plan, setting) for plan in plans]
        elif place == "budget":
            plans = [_of_budget(plan, setting, name) for plan in plans]
        elif place == "task":
            plans = _of_task(plans, setting, name)
        elif name:
            plans = with_option(plans, setting, notes)
        else:
            known = [*SUITE_KEYS, "method.OPTION", "METHOD.OPTION", "budget.FIELD", "task.TASK.FIELD"]
            raise UsageError(f"{setting}: nothing is called {setting.key!r}{near(setting.key, known)}")
    return replace(profile, plans=tuple(plans)), notes


def limited(plan: SuitePlan, most: int) -> SuitePlan:
    """The plan with at most so many test examples for each task."""
    tasks = [replace(task, budget=_limited(task.budget, most)) for task in plan.tasks]
    budget = {"test_examples": None, **plan.budget}
    return replace(plan, budget=_limited(budget, most), tasks=tuple(tasks))


def _limited(budget: Mapping[str, Any], most: int) -> Mapping[str, Any]:
    if "test_examples" not in budget:
        return budget
    given = budget["test_examples"]
    return {**budget, "test_examples": most if given is None else min(given, most)}


def _of_suite(plan: SuitePlan, setting: Setting) -> SuitePlan:
    SUITE_KEYS[setting.key](setting.value, str(setting))
    if setting.key == "seeds":
        return with_seeds(plan, setting.value)
    if setting.key == "dtype" and setting.value not in PLANNED_DTYPES:
        raise UsageError(f"{setting}: unknown dtype{near(setting.value, PLANNED_DTYPES)}")
    return replace(plan, **{setting.key: setting.value})


def _of_budget(plan: SuitePlan, setting: Setting, name: str) -> SuitePlan:
    """The budget of every task: what a task of the profile says about the same thing goes."""
    _check_budget(setting, name)
    tasks = [replace(task, budget=_without(task.budget, name)) for task in plan.tasks]
    return replace(plan, budget={**_without(plan.budget, name), name: setting.value}, tasks=tuple(tasks))


def _without(budget: Mapping[str, object], name: str) -> dict[str, Any]:
    """The budget without a field; of epochs, steps and tokens, without any of the three."""
    gone = DURATIONS if name in DURATIONS else (name,)
    return {key: value for key, value in budget.items() if key not in gone}


def _check_budget(setting: Setting, name: str) -> None:
    known = budget_options()
    if name not in known:
        raise UsageError(f"{setting}: a budget has no {name!r}{near(name, known)}")
    build(Budget, {name: setting.value}, str(setting))


def _check_durations(settings: Iterable[Setting]) -> None:
    """A budget lasts one of epochs, steps and tokens: two of them for one place are a mistake."""
    seen: dict[str, Setting] = {}
    for setting in settings:
        place, _, name = setting.key.rpartition(".")
        if name not in DURATIONS:
            continue
        before = seen.setdefault(place, setting)
        if before.key != setting.key:
            raise UsageError(f"{before} and {setting}: training lasts one of {', '.join(DURATIONS)}")


def _of_task(plans: Sequence[SuitePlan], setting: Setting, rest: str) -> list[SuitePlan]:
    name, _, option = rest.partition(".")
    known = [task.name for plan in plans for task in plan.tasks]
    if name not in known:
        raise UsageError(f"{setting}: the profile has no task {name!r}{near(name, known)}")
    if option == "seeds":
        values.seeds(setting.value, str(setting))
    else:
        _check_budget(setting, option)
    return [replace(plan, tasks=tuple(_task(task, name, option, setting) for task in plan.tasks)) for plan in plans]


def _task(task: TaskRow, name: str, option: str, setting: Setting) -> TaskRow:
    if task.name != name:
        return task
    if option == "seeds":
        return replace(task, seeds=setting.value)
    return replace(task, budget={**_without(task.budget, option), option: setting.value})
