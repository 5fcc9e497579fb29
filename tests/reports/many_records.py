"""Many records made from committed ones, for measures of scale: `python tests/reports/many_records.py OUT [COUNT]`.

Rows, tasks and seeds are varied: each suite gets `ROWS` rows times `TASKS` tasks, and as many seeds as the count asks
for. Scores get noise that depends on row, task and seed; identities are made anew. All else is as committed.
"""

import hashlib
import itertools
import json
import random
import sys
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from sparsebench.reports.records.record import SCHEMA_VERSION
from sparsebench.reports.records.store import MARKER, Store

COMMITTED = Path(__file__).parents[2] / "reports" / "results" / "quick"
ROWS = 100
TASKS = 34


def many_records(count: int) -> Iterator[dict[str, Any]]:
    """So many records as JSON values; the committed ones come round again and again under other names."""
    by_suite: dict[str, list[dict[str, Any]]] = defaultdict(list)
    store = Store(COMMITTED)
    for id in store.ids():
        record = json.loads(store.text(id))
        by_suite[record["cell"]["suite"]].append(record)
    numbers = itertools.count()
    while True:
        seed = next(numbers)
        for row, task in itertools.product(range(ROWS), range(TASKS)):
            for members in by_suite.values():
                if not count:
                    return
                count -= 1
                yield _varied(members, row, task, seed)


def _varied(members: list[dict[str, Any]], row: int, task: int, seed: int) -> dict[str, Any]:
    """A record of this row, task and seed: the task decides which task, the row which of its rows is the pattern."""
    tasks = sorted({record["cell"]["task"] for record in members})
    name = tasks[task % len(tasks)]
    patterns = [record for record in members if record["cell"]["task"] == name]
    record = json.loads(json.dumps(patterns[row % len(patterns)]))
    cell = record["cell"]
    if row >= len(patterns):
        cell["label"] += f" v{row // len(patterns)}"
    if task >= len(tasks):
        cell["task"] += f"_{task // len(tasks)}"
    cell["seed"] = seed
    draw = random.Random(f"{cell['suite']} {row} {task} {seed}")
    for metric in record["metrics"].values():
        metric["value"] *= 1 + 0.02 * draw.gauss(0, 1) + 0.001 * row
    record["key"] = _digest(f"{cell['suite']} {row} {task} {seed}")
    record["id"] = _digest(record["key"] + record["code"])
    return record


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def write_many(folder: Path, count: int) -> None:
    """A result folder with so many records, without a plan."""
    (folder / "records").mkdir(parents=True)
    (folder / MARKER).write_text(json.dumps({"schema_version": SCHEMA_VERSION}))
    for record in many_records(count):
        (folder / "records" / f"{record['id']}.json").write_text(json.dumps(record, indent=1, sort_keys=True))


if __name__ == "__main__":
    write_many(Path(sys.argv[1]), int(sys.argv[2]) if len(sys.argv) > 2 else 100_000)
