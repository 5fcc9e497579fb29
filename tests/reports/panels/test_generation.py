"""Generated molecules: what stands beside FCD, also of older records, and only equal numbers in one figure."""

from typing import Any

import pytest

from sparsebench.reports.panels.generation import MAX_FIGURES, PANEL
from sparsebench.reports.panels.panel import Content, Entry
from sparsebench.reports.records.record import Metric


def fraction(value: float, n: int = 1000) -> Metric:
    return Metric(value=value, n=n, higher_is_better=True, unit="share")


def metrics(n: int = 1000, **others: Metric) -> dict[str, Metric]:
    distance = Metric(value=2.46, n=n, higher_is_better=False, unit="")
    return {"accuracy": fraction(0.5), "valid": fraction(1.0, n), "FCD/Test": distance, **others}


def shown(make: Any, *rows: dict[str, Metric]) -> Content:
    values = [PANEL.read(make.record(metrics=row)) for row in rows]
    content = PANEL.show([Entry(number, "row", "t", value) for number, value in enumerate(values, start=1)])
    assert content is not None
    return content


def test_what_stands_beside_the_distance(make):
    draws = Metric(value=1.25, n=1000, higher_is_better=False, unit="")
    seconds = Metric(value=5112.0, higher_is_better=False, unit="s")
    full = metrics(**{"Novelty": fraction(0.45), "copies": fraction(0.55), "draws per kept": draws})
    older = metrics(Novelty=fraction(0.96))
    few = {"accuracy": fraction(0.5), "valid": fraction(0.756), "draws per kept": draws}
    (figure,) = shown(make, full | {"core seconds": seconds}, older, few).figures
    assert figure.words is not None and [row[1:] for row in figure.words.rows] == [
        ("1,000", "2.460", "1.250", "100.0 %", "–", "45.0 %", "55.0 %", "5,112"),
        ("1,000", "2.460", "–", "100.0 %", "–", "96.0 %", "–", "–"),
        ("1,000", "–", "1.250", "75.6 %", "–", "–", "–", "–"),
    ]


def test_other_numbers_have_another_figure(make):
    content = shown(make, *(metrics(1000 + row) for row in range(MAX_FIGURES + 1)))
    assert [figure.title for figure in content.figures][:2] == ["t, 1,000 molecules", "t, 1,001 molecules"]
    assert len(content.figures) == MAX_FIGURES
    assert content.legend.endswith("1 more tasks or numbers of molecules are in the records.")


def test_other_records_have_no_such_entry(make):
    with pytest.raises(KeyError):
        PANEL.read(make.record())
