"""The table of predictors, by made-up errors; the one that is shipped."""

import json
from pathlib import Path

import sparsebench.suites.llm.redundancy as room
from sparsebench.suites.llm.redundancy.prediction import Point
from sparsebench.suites.llm.redundancy.table import to_markdown

from .test_prediction import mixtures


def test_a_predictor_that_knows_is_a_smaller_factor_than_the_mean() -> None:
    page = to_markdown({"layer 25%": mixtures(1.0)})
    rows = {
        line.split("|")[2].strip(): line.split("|")[3:6] for line in page.splitlines() if line.startswith("| layer")
    }
    assert list(rows) == ["the mean of the others", "all measures", "other", "told"]
    factors = {name: float(cells[0].split()[0]) for name, cells in rows.items()}
    assert factors["told"] < 1.2 < 1.8 < factors["the mean of the others"]
    assert float(rows["told"][1].split()[0]) > 0.4 and rows["told"][2].strip()


def test_the_table_that_is_shipped_is_that_of_its_points() -> None:
    folder = Path(room.__file__).parent
    content = json.loads((folder / "points.json").read_text(encoding="utf-8"))
    points = {kind: [Point(**member) for member in members] for kind, members in content.items()}
    assert to_markdown(points) == (folder / "predictor.md").read_text(encoding="utf-8")
