"""One report of made-up records, which the tests of the page read."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.records.record import to_json
from sparsebench.reports.records.store import Store
from sparsebench.reports.tables.suite_table import SuiteInfo

INFOS = {
    "vtab": SuiteInfo(
        title="Vision", description="Small images.", baseline="linear probe", unit="image", roles={"copies": "ceiling"}
    ),
    "llm": SuiteInfo(title="Language", description="Dense to MoE.", baseline="dense", unit="token"),
    "molecules": SuiteInfo(title="Chemistry", description="Molecules.", baseline="ECFP4 + ridge", unit="molecule"),
}
ROLES = {"vtab": {"shuffled": "control"}}


@dataclass(frozen=True)
class Report:
    """A page, its text, and the data that it shows."""

    path: Path
    text: str
    document: dict[str, Any]

    def track(self, name: str) -> dict[str, Any]:
        """The track whose name begins so."""
        return next(track for track in self.document["tracks"] if track["name"].startswith(name))

    def sheet(self, id: str) -> dict[str, Any]:
        return next(sheet for sheet in self.document["sheets"] if sheet["id"] == id)


@pytest.fixture(scope="session")
def report_records(make):
    """The realistic ones, with a control and a ceiling that have the best scores of all."""
    cell = {"group": "natural", "backbone": "lite0"}
    best = []
    for label in ("shuffled", "copies"):
        for task in ("digits", "fashion_mnist", "dsprites_loc", "dsprites_ori"):
            best += [make.record(label, task, seed, make.metric(0.99, n=2000), cell=cell) for seed in range(3)]
    return [*make.realistic(), *best]


@pytest.fixture(scope="session")
def report(report_records, tmp_path_factory):
    out = tmp_path_factory.mktemp("report")
    store = Store(out / "results").create()
    for record in report_records:
        (store.records / f"{record.id}.json").write_text(to_json(record))
    (store.records / "broken.json").write_text(to_json(record)[:200])
    records, problems = store.read_all()
    speed = out / "speed.json"
    run = {
        "group": "g",
        "name": "ours",
        "stats": {"median": 0.01, "iqr": 0.0, "rounds": 5},
        "extra_info": {"role": "ours"},
    }
    peer = run | {"name": "theirs", "extra_info": {"role": "peer"}, "stats": {"median": 0.02, "iqr": 0.0, "rounds": 5}}
    speed.write_text(json.dumps({"benchmarks": [run, peer]}))
    reading = Reading(
        records=records,
        folders=(Path("mine"),),
        problems=problems,
        roles=ROLES,
        where=lambda record: "results/mine",
        speed=speed,
    )
    page = render(reading, out / "report", INFOS)
    text = page.read_text()
    return Report(page, text, unpack(text))
