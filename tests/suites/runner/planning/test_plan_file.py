"""`plan.json`: what a run notes comes back, and what is no plan is one line that says so."""

import json
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.identity.cell import Cell
from sparsebench.suites.runner.planning.plan_file import (
    PLAN_FILE,
    PlannedSuite,
    planned_records,
    planned_roles,
    read_plan,
    with_planned_seeds,
    write_plan,
)
from sparsebench.suites.runner.planning.profile import Profile, SuitePlan
from sparsebench.suites.runner.planning.rows import Row

from ..cells import INFO, cell

CLAIM = {
    "id": "S1",
    "statement": "a is better",
    "source": "folklore",
    "suite": "llm",
    "tasks": ["t"],
    "metric": "m",
    "rows": ["a", "b"],
    "direction": "lower",
}
PART = {"profile": "quick", "reuse": "exact", "cells": [["i", "k"]], "claims": [CLAIM]}


class Entry:
    """What an index knows of a record."""

    def __init__(self, id_: str, key: str, finished: str = "2026") -> None:
        self.id, self.key, self.finished = id_, key, finished


def cells(count: int) -> list[Cell]:
    infos = [replace(INFO, seed=seed) for seed in range(count)]
    return [cell(info=info, key=f"{info.seed:016x}", planned_seeds=count) for info in infos]


def profile(suite: str = "llm") -> Profile:
    return Profile("quick", (SuitePlan(suite, (), (), ()),))


def write(folder: Path, content: Any) -> None:
    (folder / PLAN_FILE).write_text(json.dumps(content))


def test_the_plan_of_a_suite_replaces_its_older_one_and_no_other(tmp_path: Path) -> None:
    assert read_plan(tmp_path) == {}
    write(tmp_path, {"vtab": PART, "llm": PART})
    found = cells(2)
    write_plan(profile(), found, tmp_path, "only")
    plan = read_plan(tmp_path)
    assert plan["llm"] == PlannedSuite(
        "quick", "only", [(cell.id, cell.key) for cell in found], [], {cell.key: 2 for cell in found}
    )
    assert planned_roles(tmp_path) == {"vtab": {}, "llm": {}}
    rows = (Row((Link(method="heal"),), role="control"), Row((Link(method="prune"),)))
    write_plan(Profile("quick", (SuitePlan("llm", rows, (), ()),)), found, tmp_path, "only")
    assert planned_roles(tmp_path)["llm"] == {"heal": "control"}
    assert plan["vtab"].cells == [("i", "k")] and plan["vtab"].claims[0].rows == ("a", "b")
    assert [path.name for path in tmp_path.iterdir()] == [PLAN_FILE], "no temporary file is left"


def test_a_plan_of_fewer_seeds_counts_no_pairs_as_lost(tmp_path: Path) -> None:
    """R10: records say how many seeds were planned when they were made; the latest plan may have fewer."""
    (cell,) = cells(1)
    write_plan(profile(), [cell], tmp_path, "exact")
    made = failure(replace(cell, planned_seeds=3, stochastic=True), "failed", "broke", started="2026")
    (record,) = with_planned_seeds([made], tmp_path)
    assert (made.seeds["planned"], record.seeds["planned"]) == (3, 1)
    older = replace(made, seeds={"replicate": 0})
    assert with_planned_seeds([older], tmp_path) == [older]
    write(tmp_path, {"llm": PART})
    assert with_planned_seeds([made], tmp_path) == [made]


BROKEN = {
    "seeds that are text": {"llm": PART | {"seeds": {"k": "3"}}},
    "no seeds at all": {"llm": PART | {"seeds": {"k": 0}}},
    "seeds in a list": {"llm": PART | {"seeds": [3]}},
    "roles that are a list": {"llm": PART | {"roles": ["control"]}},
    "a role that there is not": {"llm": PART | {"roles": {"a": "winner"}}},
    "a list": [],
    "nothing": None,
    "a number": 3,
    "a suite that is a list": {"molecules": []},
    "a suite that is nothing": {"molecules": None},
    "no cells": {"llm": {"profile": "quick", "reuse": "exact"}},
    "cells that are text": {"llm": PART | {"cells": "ab"}},
    "cells of one text": {"llm": PART | {"cells": ["ab"]}},
    "cells of three": {"llm": PART | {"cells": [["a", "b", "c"]]}},
    "cells of numbers": {"llm": PART | {"cells": [[1, 2]]}},
    "no reuse": {"llm": {"profile": "quick", "cells": []}},
    "a reuse that there is not": {"llm": PART | {"reuse": "sometimes"}},
    "a reuse that is a list": {"llm": PART | {"reuse": []}},
    "no profile": {"llm": {"reuse": "exact", "cells": []}},
    "claims that are a mapping": {"llm": PART | {"claims": {}}},
    "a claim that is text": {"llm": PART | {"claims": ["a"]}},
    "a claim without rows": {"llm": PART | {"claims": [{key: CLAIM[key] for key in CLAIM if key != "rows"}]}},
    "a claim of one row": {"llm": PART | {"claims": [CLAIM | {"rows": ["a"]}]}},
    "a claim of no task": {"llm": PART | {"claims": [CLAIM | {"tasks": []}]}},
    "a claim with half a character": {"llm": PART | {"claims": [CLAIM | {"statement": "\ud800"}]}},
    "a claim with another key": {"llm": PART | {"claims": [CLAIM | {"colour": 1}]}},
}


@pytest.mark.parametrize("content", BROKEN.values(), ids=list(BROKEN))
def test_what_is_no_plan_is_one_line_that_says_what_to_do(tmp_path: Path, content: Any) -> None:
    write(tmp_path, content)
    for use in (read_plan, lambda folder: planned_records([Entry("i", "k")], folder)):
        with pytest.raises(UsageError, match="remove it, then give the `run` command again") as error:
            use(tmp_path)
        assert "\n" not in str(error.value) and len(str(error.value)) < 400


@pytest.mark.parametrize("content", [b"", b"{", b"\xff\xfe{}", b"[" * 100_000, b'{"llm": NaN}'])
def test_what_is_no_json_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / PLAN_FILE).write_bytes(content)
    with pytest.raises(UsageError, match="is no plan") as error:
        read_plan(tmp_path)
    assert "\n" not in str(error.value)


def test_a_folder_in_its_place_is_one_line(tmp_path: Path) -> None:
    (tmp_path / PLAN_FILE).mkdir()
    with pytest.raises(UsageError, match="cannot be read"):
        read_plan(tmp_path)


def test_records_come_in_the_order_of_the_plan(tmp_path: Path) -> None:
    old, new, other = Entry("old", "k1", "2025"), Entry("new", "k1", "2026"), Entry("other", "k2")
    assert planned_records([old, new, other], tmp_path) == [new, other]
    pairs = [["other", "k2"], ["today", "k1"]]
    write(tmp_path, {"llm": PART | {"cells": pairs}})
    assert planned_records([old, new, other], tmp_path) == [other]
    write(tmp_path, {"llm": PART | {"cells": pairs, "reuse": "always"}})
    assert planned_records([old, new, other], tmp_path) == [other, new]


def test_a_plan_of_100_000_cells_is_read_in_a_moment(tmp_path: Path) -> None:
    """Within a few times of what it takes to read its JSON: no object with checks is made of each cell."""
    pairs = [[f"{number:016x}", f"{number:016x}"] for number in range(100_000)]
    write(tmp_path, {"llm": PART | {"cells": pairs}})
    file = tmp_path / PLAN_FILE
    assert file.stat().st_size < 6_000_000
    whole, alone = [], []
    for _ in range(3):
        start = time.process_time()
        assert len(read_plan(tmp_path)["llm"].cells) == 100_000
        whole.append(time.process_time() - start)
        start = time.process_time()
        json.loads(file.read_text())
        alone.append(time.process_time() - start)
    assert min(whole) < 20 * min(alone)
