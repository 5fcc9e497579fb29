"""The best row of each track, worked out again from the files of the records alone, by code of its own.

`python -m tests.reports.page.best_rows FOLDER PAGE` compares them with those of a page and says what differs.
"""

import json
import sys
from collections import defaultdict
from collections.abc import Iterable, Mapping
from pathlib import Path
from statistics import fmean
from typing import Any

Plain = Mapping[str, Any]
"""A record as its file has it."""


def best_rows(records: Iterable[Plain], document: Mapping[str, Any]) -> dict[str, tuple[str | None, str | None]]:
    """Track to the name of its best row by the records, and by the page.

    Of the page it takes the tasks of a track and which rows are controls or ceilings, no number.
    """
    scores: dict[tuple[str, str, str, str], list[float]] = defaultdict(list)
    higher = {}
    for record in records:
        cell = record["cell"]
        if record["status"] == "ok":
            metric = record["metrics"][record["main_metric"]]
            scores[cell["suite"], cell["label"], cell["backbone"], cell["task"]].append(metric["value"])
            higher[cell["suite"], cell["task"]] = metric["higher_is_better"]
    found = {}
    for track in document["tracks"]:
        suite = document["suites"][track["suite"]]
        tasks = [suite["columns"][place]["task"] for place in track["columns"]]
        means = {}
        for row in track["rows"]:
            about = suite["rows"][row["i"]]
            cells = [scores.get((track["suite"], about["label"], row["backbone"], task)) for task in tasks]
            if row["role"] in ("baseline", "method") and all(cells):
                means[row["i"]] = fmean(fmean(values) for values in cells if values)
        choose = max if higher.get((track["suite"], tasks[0]), True) else min
        best = choose(means, key=means.__getitem__, default=None)
        named = [None if number is None else suite["rows"][number]["name"] for number in (best, track["best"])]
        found[track["id"]] = (named[0], named[1])
    return found


def main(folder: Path, page: Path) -> int:
    import pandas as pd

    from sparsebench.reports.page.html import unpack

    texts = pd.read_parquet(folder / "records.parquet")["record"]
    found = best_rows(map(json.loads, texts), unpack(page.read_text()))
    for track, (ours, shown) in found.items():
        sys.stdout.write(f"{track}: {ours}{'' if ours == shown else f', but the page says {shown}'}\n")
    return int(any(ours != shown for ours, shown in found.values()))


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1]), Path(sys.argv[2])))
