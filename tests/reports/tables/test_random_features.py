"""What the caption of a task says of pre-training: from records of rows on pre-trained and on random weights."""

from typing import Any

import pytest

from sparsebench.reports.tables import table_formats as printing
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(
    title="Vision",
    description="",
    baseline="linear_probe",
    unit="image",
    roles={"random_features": "control"},
    random_weights=frozenset({"noise", "any"}),
)


def table(*sides: list[Any]) -> Any:
    (matrix,) = matrices([record for side in sides for record in side])
    return suite_table(matrix, INFO)


def caption(*sides: list[Any]) -> str:
    (text,) = table(*sides).captions.values()
    return text


@pytest.fixture
def control(make: Any) -> list[Any]:
    return make.side("random features", [0.70, 0.71, 0.69], method="random_features", backbone="cnn")


def test_a_row_that_is_ahead_by_its_interval_is_named_with_its_gain(make: Any, control: list[Any]) -> None:
    said = caption(make.side("adapter", [0.80, 0.82, 0.79]), make.side("probe", [0.71, 0.7, 0.7]), control)
    assert said.startswith("On t, adapter · vit-tiny is ahead of random features (random features · cnn) by +10.3 [")


def test_a_row_that_is_not_is_called_the_closest(make: Any, control: list[Any]) -> None:
    said = caption(make.side("adapter", [0.70, 0.73, 0.68]), make.side("probe", [0.5, 0.51, 0.52]), control)
    assert "no pre-trained row is shown to beat random features" in said and "adapter · vit-tiny, is +0.3 [" in said
    assert said.endswith("points from them (undecided), so the task says nothing of pre-training.")


def test_rows_from_scratch_count_on_neither_side(make: Any, control: list[Any]) -> None:
    scratch = make.side("scratch", [0.97, 0.98, 0.97], backbone="noise:32")
    assert "scratch" not in caption(scratch, make.side("adapter", [0.8, 0.82, 0.79]), control)
    assert table(scratch, control).captions == {}
    assert table(scratch, make.side("adapter", [0.8, 0.82, 0.79])).captions == {}


@pytest.mark.parametrize(("backbone", "role"), [("noise:32", "control"), ("any:x", "control"), ("any:x@f", "baseline")])
def test_a_probe_of_random_weights_is_a_control_and_wins_nothing(make: Any, backbone: str, role: str) -> None:
    probe = make.side("linear_probe", [0.9, 0.91, 0.92], method="linear_probe", backbone=backbone)
    found = table(make.side("adapter", [0.5, 0.51, 0.52]), make.side("worse", [0.1, 0.11, 0.1]), probe)
    (line,) = [line for line in found.lines if line.row.backbone == backbone]
    assert (line.role, line.entries[0].best) == (role, role == "baseline")
    assert bool(found.captions) == (role == "control")


@pytest.mark.parametrize(("backbone", "first"), [("noise:32", "adapter"), ("any:x@f", "linear_probe")])
def test_a_control_does_not_stand_first_as_baselines_do(make: Any, backbone: str, first: str) -> None:
    probe = make.side("linear_probe", [0.3, 0.31, 0.32], method="linear_probe", backbone=backbone)
    assert table(probe, make.side("adapter", [0.5, 0.51, 0.52])).lines[0].row.label == first


def test_one_seed_decides_nothing(make: Any) -> None:
    control = make.side("random features", [0.7], method="random_features", backbone="cnn")
    for record in control:
        record.seeds["stochastic"] = 1
    assert caption(make.side("adapter", [0.9]), control) == (
        "On t, one seed says nothing of random features (random features · cnn)."
    )


def test_captions_stand_under_the_table(make: Any, control: list[Any]) -> None:
    found = table(make.side("adapter", [0.80, 0.82, 0.79]), control)
    (said,) = printing.captions(found)
    assert f"\n\n{said}\n\nmean ± half width" in printing.to_markdown(found)
