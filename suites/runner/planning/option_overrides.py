"""`--set method.OPTION=VALUE` and `--set METHOD.OPTION=VALUE`: the rows of a profile with another option."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sparsebench.reports.records.record import Link

from ..discovery.entry import PARTS
from ..discovery.options import Option, options_of
from ..discovery.registry import entries, find
from ..errors import UsageError, near
from .chain import TRAIN
from .profile import SuitePlan
from .rows import Row, twin_of

EVERY = "method"
"""In the place of a method's name: all of them."""


@dataclass(frozen=True)
class Setting:
    """One `KEY=VALUE` of the command line."""

    key: str
    value: Any

    def __str__(self) -> str:
        return f"--set {self.key}={self.value}"


def with_option(plans: Sequence[SuitePlan], setting: Setting, notes: list[str]) -> list[SuitePlan]:
    """The plans with an option set in every row that has it; the rows that have not are named in `notes`.

    Raises `UsageError` where no row has the method or the option, and for a value that the option does not take.
    """
    method, _, option = setting.key.partition(".")
    rows = [row for plan in plans for row in plan.methods]
    known = _options(rows, setting, method)
    if option not in known:
        whose = "no row has an" if method == EVERY else f"{method} has no"
        raise UsageError(f"{setting}: {whose} option {option!r}{near(option, known)}")
    _check_value(setting, known[option])
    unreached = [row.label for row in rows if with_setting(row, setting) is None]
    if unreached and method == EVERY:
        notes.append(f"{setting} does not reach {len(unreached)} of {len(rows)} rows: {', '.join(unreached)}")
    return [_changed(plan, setting, notes) for plan in plans]


def _options(rows: Sequence[Row], setting: Setting, method: str) -> dict[str, Option]:
    """The options of the methods that are meant."""
    used = {link.method for row in rows for link in row.chain}
    if method != EVERY and method not in used:
        known = {*used, EVERY, "budget", "task"}
        why = "no row of the profile has this method" if method in entries("method") else "there is no such method"
        raise UsageError(f"{setting}: {why}{near(method, known)}")
    found: dict[str, Option] = {}
    for name in sorted(used):
        if method in (EVERY, name):
            found |= options_of(find("method", name))
    return found


def _check_value(setting: Setting, option: Option) -> None:
    """A word that is none of those that the type lists; every other mistake is found where the method is built.

    An option that is called as a kind of part, and takes any text, means every part of that kind.
    """
    plain = set(option.kind.split(" | ")) - {repr(value) for value in option.allowed}
    allowed = [*option.allowed]
    for kind in PARTS:
        if kind == option.name and "str" in plain:
            allowed += entries(kind)
            plain.remove("str")
    if allowed and isinstance(setting.value, str) and setting.value not in allowed and "str" not in plain:
        raise UsageError(
            f"{setting}: {option.name} takes {option.kind}, not {setting.value!r}{near(setting.value, allowed)}"
        )


def with_setting(row: Row, setting: Setting) -> Row | None:
    """The row with the option in each link that is meant and has it, and a label that says so; None if none has it."""
    method, _, option = setting.key.partition(".")
    if option == TRAIN and row.train:
        return _labelled(row, replace(row, train=str(setting.value)), setting)
    chain = []
    reached = False
    for link in row.chain:
        if method in (EVERY, link.method) and option in options_of(find("method", link.method)):
            reached = True
            link = Link(method=link.method, config={**link.config, option: setting.value})
        chain.append(link)
    return _labelled(row, replace(row, chain=tuple(chain)), setting) if reached else None


def _labelled(before: Row, after: Row, setting: Setting) -> Row:
    """A label made from names and configs is made again; one that the profile gives is added to."""
    if after == before:
        return before
    if before.label == replace(before, label="").label:
        return replace(after, label="")
    name = setting.key if len(after.chain) > 1 else setting.key.partition(".")[2]
    return replace(after, label=f"{before.label}, {name}={setting.value}")


def _changed(plan: SuitePlan, setting: Setting, notes: list[str]) -> SuitePlan:
    """The plan with its rows changed, and tasks that are for some rows only under the new labels."""
    rows: list[Row] = []
    labels: dict[str, str] = {}
    for row in plan.methods:
        changed = with_setting(row, setting) or row
        twin = twin_of(changed, rows)
        if twin is None:
            rows.append(changed)
        else:
            notes.append(f"{setting} makes {row.label!r} the same as {twin.label!r}: it runs once")
        labels[row.label] = (twin or changed).label
    # A task may be for rows that were not chosen; they stay, and give no cells.
    tasks = [replace(task, rows=tuple(dict.fromkeys(labels.get(row, row) for row in task.rows))) for task in plan.tasks]
    return replace(plan, methods=tuple(rows), tasks=tuple(tasks))
