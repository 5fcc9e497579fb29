"""Mutated profiles: refused in one line with exit code 2, or planned as they say."""

import copy
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.profile import load_profile

from .draws import SilentlyWrongError, Tally, number, refusal
from .mutations import change_bytes, change_value

ROW = {"name": "misbehave", "config": {"how": "nothing", "nap": 0.5}, "label": "napping"}
CLAIM = {
    "id": "S1",
    "statement": "A nap is good.",
    "source": "folklore",
    "backbone": "fault_line",
    "tasks": ["state_sum"],
    "metric": "mse",
    "rows": ["awake", "napping"],
    "direction": "lower",
}
PROFILE: dict[str, Any] = {
    "molecules": {
        "seeds": 2,
        "timeout": 60,
        "dtype": "float32",
        "checkpoints": False,
        "budget": {"epochs": 1, "test_examples": 16},
        "backbones": ["fault_line"],
        "methods": [
            {"name": "misbehave", "label": "awake"},
            {**ROW, "backbones": ["fault_line"]},
            {"chain": ["misbehave", "misbehave"], "label": "twice"},
        ],
        "tasks": ["state_sum", {"name": "synthetic", "rows": ["awake"], "seeds": 1, "budget": {"epochs": 2}}],
        "claims": [CLAIM],
        "study": {
            "place": "in the afternoon",
            "smallest_effects": {"mse": {"value": 0.1, "reason": "our choice"}},
            "checks": [{"kind": "metric", "metric": "mse", "at_most": 2.0, "reason": "no nap", "claims": ["S1"]}],
        },
    },
}
GIVEN = ("seeds", "timeout", "dtype", "checkpoints", "budget")


@pytest.mark.parametrize("how", ["values", "bytes"])
@pytest.mark.usefixtures("plugin")
def test_profiles(how: str, call_here: Callable, tmp_path: Path, record_property: Callable) -> None:
    tally = Tally(f"profiles, {how}")
    path = tmp_path / "p.yaml"
    for draw in range(number(60, 1500)):
        path.write_bytes(changed(how, random.Random(draw)))
        tally.judge(draw, partial(plan, call_here, path), (UsageError,))
    tally.check(record_property)


def changed(how: str, chance: random.Random) -> bytes:
    """Values of all kinds in all places, or a file that something broke."""
    if how == "bytes":
        return change_bytes(yaml.safe_dump(PROFILE, sort_keys=False).encode(), chance)
    return yaml.safe_dump(change_value(PROFILE, chance), allow_unicode=True).encode(errors="surrogatepass")


def plan(call: Callable, path: Path) -> None:
    """Plan the profile; raises `UsageError` with what a refusal says."""
    answer = call("plan", "--profile", str(path), "--out", str(path.parent / "out"))
    if answer.code:
        if answer.code != 2 or answer.out or not refusal(answer.err):
            raise SilentlyWrongError(f"exit code {answer.code}: {answer.out} {answer.err}")
        raise UsageError(refusal(answer.err))
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    for suite_plan in load_profile(str(path)).plans:
        section = copy.deepcopy(content[suite_plan.suite])
        for name in GIVEN:
            given, taken = section.get(name), getattr(suite_plan, name)
            if name in section and (given != taken or type(given) is not type(taken)):
                raise SilentlyWrongError(f"{name} is {given!r}, and was taken as {taken!r}")
        check_cells(answer.out, section)


def check_cells(planned: str, section: dict[str, Any]) -> None:
    """Every pair of a row and a task that the file lists has a line for each backbone, and no line comes twice."""
    lines = planned.splitlines()[:-1]
    names = [task if isinstance(task, str) else task["name"] for task in section["tasks"]]
    # A task may be listed again with another budget: other cells with the same title.
    if len(set(lines)) != len(lines) and len(set(names)) == len(names):
        raise SilentlyWrongError("a cell is planned twice")
    for task in section["tasks"]:
        name = task if isinstance(task, str) else task["name"]
        rows = [] if isinstance(task, str) else task.get("rows", [])
        pairs = sum(line.split()[1].endswith(f"/{name}") for line in lines)
        least = len(rows or section["methods"])
        if pairs < least:
            raise SilentlyWrongError(f"{least} rows on {name}, and {pairs} cells")
