"""`plan.json` of a result folder: which records belong to the latest plan of each suite, and the claims that it tests.

    {suite: {"profile": name, "reuse": choice, "cells": [[id, key], ...], "seeds": {key: 3, ...}, "claims": [...],
             "roles": {label: "control", ...}}}

Cells stand in the order of the table's rows. People and programs may have edited or cut the file, so it is checked
when it is read.
"""

import dataclasses
import json
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType
from typing import Any, get_args

from sparsebench.data.errors import reason_of
from sparsebench.reports.records.files import write_whole
from sparsebench.reports.records.record import Record
from sparsebench.reports.tables.claims import Claim
from sparsebench.reports.tables.dataframe import Found, newest
from sparsebench.reports.tables.suite_entries import Role

from ..discovery.validation import build
from ..errors import UsageError
from ..identity.cell import Cell
from .plan import Reuse
from .profile import Profile
from .values import check_plain

PLAN_FILE = "plan.json"
RENAMED_REUSE = {"missing": "exact"}
"""Choices of earlier plans, and what they are called now."""
KEEPS_OLDER: tuple[Reuse, ...] = ("always", "only")
"""Choices under which a record that older code made of a cell is shown, too."""


@dataclass(frozen=True)
class PlannedSuite:
    """The latest plan of one suite; `cells` are pairs of the record's id and the cell's key.

    `seeds` is how many seeds the plan has of a cell's row and task, by the cell's key; `roles` are those that the
    profile gives its rows, by label. Plans of before have neither.
    """

    profile: str
    reuse: Reuse
    cells: Sequence[tuple[str, str]]
    claims: Sequence[Claim] = ()
    seeds: Mapping[str, int] = field(default_factory=dict)
    roles: Mapping[str, str] = field(default_factory=dict)


def write_plan(
    profile: Profile, cells: Sequence[Cell], folder: Path, reuse: Reuse, kept: Mapping[str, str] = MappingProxyType({})
) -> None:
    """Note what the latest plan of the profile's suites is; the plans of other suites stay. Raises `UsageError`.

    `kept` has the ids of records of other code by the cells that they stand for.
    """
    plan = {name: _to_json(part) for name, part in read_plan(folder).items()}
    for suite_plan in profile.plans:
        members = [cell for cell in cells if cell.info.suite == suite_plan.suite]
        pairs = [(kept.get(cell.id, cell.id), cell.key) for cell in members]
        seeds = {cell.key: cell.planned_seeds for cell in members}
        roles = {row.label: row.role for row in suite_plan.methods if row.role}
        part = PlannedSuite(profile.name, reuse, pairs, suite_plan.claims, seeds, roles)
        plan[suite_plan.suite] = _to_json(part)
    write_whole(folder / PLAN_FILE, json.dumps(plan).encode())


def _to_json(part: PlannedSuite) -> dict[str, Any]:
    claims = [dataclasses.asdict(claim) for claim in part.claims]
    return {
        "profile": part.profile,
        "reuse": part.reuse,
        "cells": part.cells,
        "seeds": dict(part.seeds),
        "claims": claims,
        "roles": dict(part.roles),
    }


def read_plan(folder: Path) -> dict[str, PlannedSuite]:
    """The latest plan of each suite; empty without one. Raises `UsageError` if the file is no plan."""
    path = folder / PLAN_FILE
    try:
        content = json.loads(path.read_bytes())
        return {suite: _part(suite, value) for suite, value in _mapping("it", content).items()}
    except FileNotFoundError:
        return {}
    except OSError as error:
        raise UsageError(f"{path} cannot be read: {error.strerror or error}") from None
    except (ValueError, RecursionError) as error:
        reason = reason_of(error)
        raise UsageError(f"{path} is no plan ({reason}): remove it, then give the `run` command again") from None


def _part(suite: str, value: object) -> PlannedSuite:
    where = f"suite {suite!r}"
    part = _mapping(where, value)
    profile = part.get("profile")
    if not isinstance(profile, str):
        raise ValueError(f"{where}: profile must be a text, not {profile!r:.40}")
    reuse: Any = part.get("reuse")
    if isinstance(reuse, str):
        reuse = RENAMED_REUSE.get(reuse, reuse)
    if reuse not in get_args(Reuse):
        raise ValueError(f"{where}: reuse must be one of {', '.join(get_args(Reuse))}, not {reuse!r:.40}")
    claims = [_claim(where, claim) for claim in _list(f"{where}: claims", part.get("claims", []))]
    seeds = _mapping(f"{where}: seeds", part.get("seeds", {}))
    for key, number in seeds.items():
        if type(number) is not int or number < 1:
            raise ValueError(f"{where}: the seeds of {key!r:.40} must be a number from 1, not {number!r:.40}")
    roles = _mapping(f"{where}: roles", part.get("roles", {}))
    for label, role in roles.items():
        if role not in get_args(Role):
            raise ValueError(f"{where}: the role of {label!r:.40} must be one of {', '.join(get_args(Role))}")
    return PlannedSuite(profile, reuse, _cells(where, part.get("cells")), claims, seeds, roles)


def _cells(where: str, value: object) -> list[tuple[str, str]]:
    cells = []
    for pair in _list(f"{where}: cells", value):
        match pair:
            case [str(id_), str(key)]:
                cells.append((id_, key))
            case _:
                raise ValueError(f"{where}: a cell must be an id and a key, not {pair!r:.40}")
    return cells


def _claim(where: str, value: object) -> Claim:
    check_plain(value, f"{where}: a claim")
    claim = build(Claim, _mapping(f"{where}: a claim", value), where)
    if len(claim.rows) < 2 or not claim.tasks:
        raise ValueError(f"{where}: claim {claim.id!r} must name two rows or more, and a task or more")
    return claim


def _mapping(where: str, value: object) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise ValueError(f"{where} must be a mapping, not {value!r:.40}")
    return value


def _list(where: str, value: object) -> list[Any]:
    if not isinstance(value, list):
        raise ValueError(f"{where} must be a list, not {value!r:.40}")
    return value


def planned_records(records: Collection[Found], folder: Path) -> list[Found]:
    """The records of the latest plan, in its order; without a plan, the newest record of each key.

    A run with `reuse` always or only also shows a record that older code made of the same cell. Raises `UsageError`.
    """
    plan = read_plan(folder)
    current, _ = newest(records)
    if not plan:
        return current
    by_id = {record.id: record for record in records}
    by_key = {record.key: record for record in current}
    found: list[Found] = []
    for part in plan.values():
        found += _of_part(part, by_id, by_key)
    return found


def _of_part(part: PlannedSuite, by_id: dict[str, Found], by_key: dict[str, Found]) -> Iterable[Found]:
    for id_, key in part.cells:
        record = by_id.get(id_)
        if record is None and part.reuse in KEEPS_OLDER:
            record = by_key.get(key)
        if record is not None:
            yield record


def with_planned_seeds(records: Iterable[Record], folder: Path) -> list[Record]:
    """The records, each with the number of seeds of the latest plan: it may have another than when they were made.

    Raises `UsageError`.
    """
    planned: dict[str, int] = {}
    for part in read_plan(folder).values():
        planned |= part.seeds
    found = []
    for record in records:
        number = planned.get(record.key)
        if number is not None and record.seeds.get("planned", number) != number:
            record = dataclasses.replace(record, seeds={**record.seeds, "planned": number})
        found.append(record)
    return found


def planned_roles(folder: Path) -> dict[str, Mapping[str, str]]:
    """Suite to row label to the role that the profile of the latest plan gives it. Raises `UsageError`."""
    return {suite: part.roles for suite, part in read_plan(folder).items()}


def planned_claims(folder: Path) -> list[Claim]:
    """The claims of the latest plan. Raises `UsageError`."""
    claims: list[Claim] = []
    for part in read_plan(folder).values():
        claims += part.claims
    return claims
