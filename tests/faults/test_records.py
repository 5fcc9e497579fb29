"""Mutated records and plans: named and skipped, or read as they say; no report ends in a traceback."""

import json
import random
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from sparsebench.reports.records.record import Record, RecordError, from_json, to_json
from sparsebench.reports.records.store import Store

from .draws import SilentlyWrongError, Tally, number, refusal
from .mutations import change_bytes, change_value

IN_ONE_REPORT = 30
"""Mutated records that one report shows."""


class ReportedError(Exception):
    """A command said in one line why it does nothing."""


@pytest.fixture(scope="module")
def make() -> ModuleType:
    import importlib.util

    place = Path(__file__).parents[1] / "reports" / "make_records.py"
    spec = importlib.util.spec_from_file_location("make_records", place)
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="module")
def originals(make: ModuleType) -> list[Record]:
    """Records with everything that the page shows: scores, curves, costs, molecules, control, routers."""
    records = make.realistic()
    kinds = {tuple(sorted(record.details)): record for record in records}
    loads = {"router_load": {"layers": [0, 1], "per_mille": {"law": ["500 500", "900 100"], "code": ["1 999", "5 5"]}}}
    numbers = {"worst": "1.5 1", "dead": {"0": "1"}, "entropy": "0.5 1", "token_entropy": "- 1", "cv2": "0.2 0"}
    loads["router_health"] = {"layers": ["0", "1 attention"], "experts": "2 2", "domains": {"law": numbers}}
    loads["product_rate"] = 1e11
    libraries = {"libraries": {"torch": "2.13"}, "processor": "x", "cores": 2, "accelerator": None, "commit": None}
    router = make.record("moe", "bpb", details=loads, environment=libraries, cell={"suite": "llm"})
    return [*kinds.values(), *random.Random(0).sample(records, 8), router]


@pytest.mark.parametrize("how", ["values", "bytes"])
def test_records(
    how: str, originals: list[Record], call_here: Callable, tmp_path: Path, record_property: Callable
) -> None:
    tally = Tally(f"records, {how}")
    reports = Tally(f"reports of records, {how}")
    kept: list[Record] = []
    for draw in range(number(120, 2400)):
        chance = random.Random(draw)
        text = changed(to_json(chance.choice(originals)), how, chance)
        tally.judge(draw, partial(read, text, kept), (RecordError,))
        if len(kept) >= IN_ONE_REPORT:
            reports.judge(draw, partial(report, call_here, tmp_path / str(draw), kept), (ReportedError,))
            kept = []
    if len(kept) > 1:
        reports.judge(-1, partial(report, call_here, tmp_path / "rest", kept), (ReportedError,))
    reports.inputs = 0  # they are the same inputs again
    tally.defects += reports.defects
    tally.tracebacks += reports.tracebacks
    tally.hangs += reports.hangs
    tally.check(record_property)


def changed(text: str, how: str, chance: random.Random) -> bytes:
    if how == "bytes":
        return change_bytes(text.encode(), chance)
    return json.dumps(change_value(json.loads(text), chance)).encode()


def read(text: bytes, kept: list[Record]) -> None:
    """Read a record; what is taken must be all that the file says."""
    record = from_json(text)
    lacking = difference(json.loads(text), json.loads(to_json(record)))
    if lacking:
        raise SilentlyWrongError(f"the file and what was read of it differ in {lacking}")
    kept.append(record)


def difference(said: Any, taken: Any, where: str = "record") -> str:
    """The first place where two JSON values differ; fields that were left out have their defaults."""
    if isinstance(said, dict) and isinstance(taken, dict):
        renamed = {"train_share": "train_fraction"}
        for key, value in said.items():
            if renamed.get(key, key) not in taken:
                return f"{where}.{key}"
            found = difference(value, taken[renamed.get(key, key)], f"{where}.{key}")
            if found:
                return found
        return ""
    if isinstance(said, list) and isinstance(taken, list) and len(said) == len(taken):
        found = (difference(*pair, f"{where}.{index}") for index, pair in enumerate(zip(said, taken, strict=True)))
        return next(filter(None, found), "")
    same = said == taken and isinstance(said, bool) == isinstance(taken, bool)
    if isinstance(taken, float) and type(said) is int:  # a whole number in the place of any number
        same = float(said) == taken
    return "" if same else f"{where}: {said!r} is {taken!r}"


def report(call: Callable, folder: Path, records: list[Record]) -> None:
    """Report of a folder with these records, and a comparison of its rows."""
    store = Store(folder).create()
    for index, record in enumerate(records):
        text = json.loads(to_json(record)) | {"id": f"r{index}"}
        (store.records / f"r{index}.json").write_text(json.dumps(text))
    answers = [call("report", str(folder))]
    labels = [record.cell.label for record in records]
    answers.append(call("compare", str(folder), labels[0], labels[1]))
    for answer in answers:
        if answer.code not in (0, 2) or (answer.code == 2 and not refusal(answer.err)):
            raise SilentlyWrongError(f"exit code {answer.code}: {answer.err}")
    if answers[0].code:
        raise ReportedError(refusal(answers[0].err))


@pytest.mark.parametrize("how", ["values", "bytes"])
def test_plans(how: str, make: ModuleType, call_here: Callable, tmp_path: Path, record_property: Callable) -> None:
    """Whatever stands in `plan.json`, a report shows the records or says in one line what to do."""
    tally = Tally(f"plans, {how}")
    folder = tmp_path / "results"
    store = Store(folder).create()
    records = [make.record(label, "t", seed, 0.5 + 0.1 * seed) for label in "ab" for seed in range(3)]
    for record in records:
        store.write(record)
    original = json.dumps(plan_of(records))
    for draw in range(number(60, 1000)):
        chance = random.Random(draw)
        text = SMALL[draw] if draw < len(SMALL) else changed(original, how, chance)
        (folder / "plan.json").write_bytes(text)
        tally.judge(draw, partial(show, call_here, folder), (ReportedError,))
    tally.check(record_property)


SMALL = (b"[]", b"null", b'{"molecules": []}', b"", b"{}", b'{"vtab": {}}', b"3", b"[[[[[[", b"{" * 5000, b"\xff")


def plan_of(records: list[Record]) -> dict[str, Any]:
    claim = {
        "id": "S1",
        "statement": "a is better.",
        "source": "folklore",
        "suite": "vtab",
        "backbone": "vit-tiny",
        "tasks": ["t"],
        "metric": "accuracy",
        "rows": ["a", "b"],
        "direction": "higher",
    }
    cells = [[record.id, record.key] for record in records]
    return {"vtab": {"profile": "p", "reuse": "exact", "cells": cells, "claims": [claim]}}


def show(call: Callable, folder: Path) -> None:
    answer = call("report", str(folder))
    if answer.code not in (0, 2) or (answer.code == 2 and not refusal(answer.err)):
        raise SilentlyWrongError(f"exit code {answer.code}: {answer.err}")
    if answer.code:
        raise ReportedError(refusal(answer.err))
