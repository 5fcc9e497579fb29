"""What is said of new molecules: which metrics stand, what is copied, what was drawn and repaired for it."""

from collections.abc import Callable, Sequence
from types import SimpleNamespace
from typing import Any

import pytest

from sparsebench.models.graphsgpt import Generated
from sparsebench.reports.panels import molecules
from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.molecules.generation import novel
from sparsebench.suites.molecules.generation.novel import score_new
from sparsebench.suites.molecules.tasks.synthetic_generation import SyntheticGeneration

NOTHING_KNOWN: dict[str, Any] = {}


class Known(SyntheticGeneration):
    """A task with three training molecules."""

    def training_set(self) -> Sequence[str]:
        return ["CCO", "CCN", "CC"]


@pytest.fixture
def scored(monkeypatch: pytest.MonkeyPatch, generated: Callable[..., Generated]) -> Callable[..., Any]:
    """Scores of these strings, "" for one that cannot be read; the metrics of MOSES are made up."""

    def metrics(smiles: Sequence[str | None], training: set[str], statistics: Any) -> dict[str, Metric]:
        assert training == {"CCO", "CCN", "CC"} and statistics is NOTHING_KNOWN
        valid = sum(map(bool, smiles)) / len(smiles)
        values = {"valid": valid, "FCD/Test": 1.0, "Scaf/Test": 1.0, "logP": 1.0, "SNN/Test": 0.5}
        return {name: Metric(value=value, higher_is_better=True, unit="") for name, value in values.items()}

    def score(*smiles: str, repaired: int = 0, core_seconds: float | None = None, more: int = 0) -> Any:
        def sample(count: int, references: Sequence[str], generator: Any) -> list[Generated]:
            assert count == len(smiles) + more and set(references) <= {"CCO", "CCN", "CC"}
            return [generated(text, repaired if text else 0) for text in smiles]

        subject = SimpleNamespace(sample=sample, core_seconds=core_seconds)
        context = Context(suite="molecules", task="known", seed=3, budget=Budget(test_examples=len(smiles) + more))
        return score_new(Known(), subject, context, NOTHING_KNOWN)

    monkeypatch.setattr(novel, "moses_metrics", metrics)
    return score


def test_all_that_stands_where_all_can_be_read(scored: Callable[..., Any]) -> None:
    found = scored("OCC", "CCF", "CCCl", "CCO", repaired=1, core_seconds=7.0)
    values = {name: metric.value for name, metric in found.metrics.items()}
    assert found.main == "FCD/Test" and values["copies"] == 0.5 and values["repaired"] == 1.0
    assert values["draws per kept"] == 1.0 and values["core seconds"] == 7.0 and {"Scaf/Test", "logP"} <= set(values)
    assert found.examples["smiles"] == ["OCC", "CCF", "CCCl", "CCO"]
    assert found.details[molecules.PANEL.key][0]["title"] == "the first of 4 molecules, seed 3"


def test_fewer_molecules_have_no_distance(scored: Callable[..., Any]) -> None:
    found = scored("CCF", "", "CCO")
    assert found.main == "valid" and not {"FCD/Test", "Scaf/Test", "logP", "core seconds"} & set(found.metrics)
    assert found.metrics["SNN/Test"].value == 0.5 and found.metrics["copies"].value == 0.5
    assert "copies" not in scored("", "").metrics
    assert scored("CCF", "CCO").main == "FCD/Test"
    assert scored("CCF", "CCO", more=1).main == "valid", "a training set has no more than it has"
