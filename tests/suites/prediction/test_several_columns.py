"""Several columns of numbers: none of them decides alone because its numbers are large."""

from pathlib import Path

import numpy as np
import pytest

from sparsebench.data.own.columns import Columns
from sparsebench.data.own.table_folder import COLUMNS_FILE, columns_text
from sparsebench.reports.statistics import example_scores
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.methods.baselines.constant import Constant
from sparsebench.suites.molecules.backbones import ecfp4
from sparsebench.suites.molecules.tasks.own_molecules import OwnMolecules
from sparsebench.suites.prediction.several_columns import BY_COLUMN, OF_COLUMNS, deviations

RINGS = ("c1ccccc1", "C1CCCCC1", "c1ccncc1", "C1CCNCC1", "c1ccoc1", "c1ccsc1", "C1CCCC1", "C1CCOC1", "C1CC1", "C1COC1")
CONTEXT = Context(suite="molecules", task="own_molecules", seed=0, budget=Budget(epochs=1, batch_size=8))


def table(folder: Path, scale: float, targets: tuple[str, ...]) -> None:
    """Forty molecules: chain lengths as `logS`, ring numbers times `scale` as `mp`, every fifth one unknown."""
    lines = []
    for ring, text in enumerate(RINGS):
        for length in range(1, 5):
            other = "" if (ring + length) % 5 == 0 else ring * scale
            lines.append(f"{'C' * length}{text},{length}.5,{other}")
    (folder / "mine.csv").write_text("SMILES,logS,mp\n" + "\n".join(lines) + "\n")
    (folder / COLUMNS_FILE).write_text(columns_text(Columns("SMILES", targets)))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SPARSEBENCH_OWN_MOLECULES", str(tmp_path))
    return tmp_path


def test_the_unit_of_a_column_does_not_change_the_score(folder: Path) -> None:
    scores = []
    for scale in (1.0, 1000.0):
        table(folder, scale, ("logS", "mp"))
        outcome = OwnMolecules().run([Constant()], ecfp4.load, CONTEXT)
        metric = outcome.metrics["rmse"]
        assert metric.unit == outcome.metrics["val rmse"].unit == OF_COLUMNS
        scores.append((metric.value, outcome.metrics["val rmse"].value))
        alone = outcome.details[BY_COLUMN]
        test = OwnMolecules().load().test.targets
        counts = (~np.isnan(test)).sum(axis=0).tolist()
        squares = [
            count * (one["rmse"] / one["standard deviation"]) ** 2
            for one, count in zip(alone.values(), counts, strict=True)
        ]
        assert list(alone) == ["logS", "mp"] and metric.n == sum(counts) < 2 * len(test)
        assert metric.value == pytest.approx((sum(squares) / sum(counts)) ** 0.5, rel=1e-6)
        for name, kept in (("rmse", outcome.examples), ("val rmse", outcome.details["validation"])):
            examples = example_scores("rmse", outcome.metrics[name].value, kept)
            assert examples is not None, "rows can be compared example by example"
    assert scores[0] == pytest.approx(scores[1], rel=1e-5)


def test_columns_that_go_wrong_together_are_no_further_examples(folder: Path) -> None:
    """Three copies of a column had an interval narrower by the root of three than one of them."""
    alone, *copies = "logS", "again", "once more"
    table(folder, 1.0, (alone, *copies))
    header, *lines = (folder / "mine.csv").read_text().splitlines()
    lines = [f"{line},{line.split(',')[1]},{line.split(',')[1]}" for line in lines]
    (folder / "mine.csv").write_text("\n".join([",".join([header, *copies]), *lines]) + "\n")
    together = OwnMolecules().run([Constant()], ecfp4.load, CONTEXT)
    (folder / COLUMNS_FILE).write_text(columns_text(Columns("SMILES", (alone,))))
    one = OwnMolecules().run([Constant()], ecfp4.load, CONTEXT).metrics
    divisor = together.details[BY_COLUMN][alone]["standard deviation"]
    for name, metric in together.metrics.items():
        assert metric.value == pytest.approx(one[name].value / divisor, rel=1e-5)
        assert metric.stderr == pytest.approx(one[name].stderr / divisor, rel=1e-5)
    examples = example_scores("rmse", together.metrics["rmse"].value, together.examples)
    assert examples is not None
    spread = examples.values.std(ddof=1) / len(examples.values) ** 0.5
    assert together.metrics["rmse"].stderr == pytest.approx(spread, rel=1e-5), "as rows are compared"


def test_one_column_is_scored_in_its_own_unit(folder: Path) -> None:
    table(folder, 1.0, ("logS",))
    outcome = OwnMolecules().run([Constant()], ecfp4.load, CONTEXT)
    targets = OwnMolecules().load()
    mean = np.concatenate([targets.train.targets, targets.val.targets]).mean()
    rmse = float(np.sqrt(((targets.test.targets - mean) ** 2).mean()))
    assert outcome.metrics["rmse"].value == pytest.approx(rmse, rel=1e-5)
    assert outcome.metrics["rmse"].unit == "" and BY_COLUMN not in outcome.details


def test_a_constant_column_is_divided_by_one() -> None:
    values = np.array([[1.0, 5.0, np.nan], [3.0, 5.0, 2.0], [5.0, np.nan, 4.0]])
    assert deviations(values) == pytest.approx([np.std([1, 3, 5]), 1.0, 1.0])
    assert deviations(np.full((3, 1), 0.1)).tolist() == [1.0], "it was 1e-17, and its errors all of the score"
