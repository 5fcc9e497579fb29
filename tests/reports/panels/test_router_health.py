"""The panel of router health: rows, layers, curves, speed; what it does without one of them."""

from collections.abc import Mapping
from types import MappingProxyType

import pytest

from sparsebench.reports.figures.plots import MAX_MARKS
from sparsebench.reports.panels.panel import Entry
from sparsebench.reports.panels.router_health import (
    MAX_CURVES,
    MAX_LAYERED,
    PANEL,
    Curve,
    Line,
    Seen,
    by_layer,
    over_training,
    overview,
)
from sparsebench.reports.records.record import RecordError, TrainingCosts
from sparsebench.reports.routers.health import KEY, ON_CALIBRATION, LayerNumbers, RouterHealth
from sparsebench.reports.routers.health import to_details as to_value

from .pages import cells, page, section


def health(worst=1.5, domains=("code", "law"), layers=("0", "1"), dead=()):
    numbers = tuple(LayerNumbers(worst, dead, 1.0, 0.5, 0.2) for _ in layers)
    return RouterHealth(layers, (4,) * len(layers), dict.fromkeys(domains, numbers))


def to_details(value):
    return {KEY: to_value(value)}


TRAINING = TrainingCosts(params=10, flops=4e12, seconds=20.0, steps=10, tokens=24_000)
CURVES = {"router cv2": [(1.0, 0.5), (2.0, 0.25)], "train loss": [(1.0, 2.0), (2.0, 1.0)]}


def test_a_row_has_its_numbers_in_the_table_its_layers_and_its_speed(make, tmp_path):
    details = to_details(health(dead=(3,))) | {"product_rate": 1e12}
    text = section("Router health", tmp_path, make.record("moe", details=details, training=TRAINING, curves=CURVES))
    found = cells(text)
    assert found[:7] == ["1  moe · t", "1.500", "2 of 8", "72.1 %", "0.200", "1.2 k", "20.0 %"]
    assert found[7:15] == ["0", "1.500", "1 of 4", "72.1 %", "1", "1.500", "1 of 4", "72.1 %"]
    assert "Worst expert 1.500 × the mean, at most 1.500 × in layer 0; 2 of 8 experts dead;" in text
    assert "Training: 1.2 k tokens per second, 20.0 % of the product rate." in text
    assert 'chart "t: CV² of the load over training"' in text


def test_rows_without_a_mixture_are_there_for_their_speed_alone(make, tmp_path):
    dense = make.record("dense", details={"product_rate": 5e11}, training=TRAINING)
    assert "Router health" not in page(tmp_path / "alone", dense)
    moe = make.record("moe", details=to_details(health()), training=TRAINING)
    text = section("Router health", tmp_path, dense, moe)
    assert "<td>1  dense · t</td><td>–</td><td>–</td><td>–</td><td>–</td><td>1.2 k</td><td>40.0 %</td>" in text
    assert text.count("by layer.") == 1 + text.count("not drawn by layer")


def test_what_the_last_method_noted_stands_in_for_an_entry_of_the_task(make, tmp_path):
    notes = {f"{link}. {ON_CALIBRATION}": to_value(health(worst)) for link, worst in ((10, 2.5), (2, 1.5))}
    text = section("Router health", tmp_path / "noted", make.record("vision", details=notes))
    assert "<td>1  vision</td><td>2.500</td><td>0 of 8</td><td>72.1 %</td>" in text
    both = make.record("text", details=notes | to_details(health(3.5)))
    assert "<td>1  text</td><td>3.500</td>" in section("Router health", tmp_path / "both", both)


def test_curves_alone_are_drawn(make, tmp_path):
    text = section("Router health", tmp_path, make.record("moe", curves={"2. router cv2": CURVES["router cv2"]}))
    assert "t: CV² of the load over training" in text and "worst ÷ mean" not in text
    names = ("router agreement with the start", "router entropy of a token", "router agreement with the clean choice")
    curves = {f"2. {name}": CURVES["router cv2"] for name in names}
    text = section("Router health", tmp_path / "change", make.record("moe", curves=curves))
    for drawn in ("agreement with the start", "entropy ÷ greatest", "agreement with the clean choice"):
        assert f'chart "t: {drawn} over training"' in text


def test_the_tasks_of_a_row_are_one_model_unless_it_was_trained(make, tmp_path):
    untrained = [make.record("moe", task, details=to_details(health(domains=(task,)))) for task in ("code", "law")]
    other = make.record("moe", "other", details=to_details(health(domains=("other",), layers=("7",))))
    text = section("Router health", tmp_path / "untrained", *untrained, other)
    assert text.count('chart "Router health of moe by layer') == 1
    assert "<td>7</td>" not in text
    trained = [make.record("moe", task, details=to_details(health()), training=TRAINING) for task in ("t", "u")]
    text = section("Router health", tmp_path / "trained", *trained)
    assert "Router health of moe · t by layer" in text and "Router health of moe · u by layer" in text


def test_the_amount_is_bounded(make, tmp_path):
    records = [make.record(f"row {row:02d}", details=to_details(health())) for row in range(MAX_LAYERED + 3)]
    text = section("Router health", tmp_path, *records)
    assert text.count('chart "Router health of row') == MAX_LAYERED
    assert "3 more rows have a mixture and are not drawn by layer." in text


def test_attention_and_ffn_have_lines_of_their_own(make):
    entry = Entry(1, "moe", "t", PANEL.read(make.record(details=to_details(health(layers=("0", "0 attention"))))))
    content = PANEL.show([entry])
    assert content is not None
    assert {value["part"] for value in content.figures[1].spec["data"]["values"]} == {"FFN", "attention"}


@pytest.mark.parametrize("rate", [0.0, -1.0, float("inf"), "fast"])
def test_a_rate_that_is_none_is_refused(make, rate):
    with pytest.raises(RecordError, match="is not of its form"):
        PANEL.read(make.record(details={"product_rate": rate}, training=TRAINING))


def test_slim_records_say_whether_there_is_something(make):
    slim = make.record(details={"router_health": None}, curves={})
    assert PANEL.has_entry(slim)
    assert PANEL.has_entry(make.record(curves={"router cv2": []}))
    assert PANEL.has_entry(make.record(details={f"2. {ON_CALIBRATION}": None}))
    assert not PANEL.has_entry(make.record(details={"router_load": None}, curves={"train loss": []}))


HEALTH = RouterHealth(
    ("0", "3"),
    (4, 2),
    {
        "a": (LayerNumbers(2.0, (1, 2), 0.5, None, 0.25), LayerNumbers(1.5, (), 0.6, None, 0.75)),
        "b": (LayerNumbers(3.0, (2,), 0.25, None, 0.75), LayerNumbers(1.5, (), 0.6, None, 0.25)),
    },
)


def line(
    number: int = 1,
    task: str = "t",
    health: RouterHealth | None = HEALTH,
    curves: Mapping[str, Curve] = MappingProxyType({}),
) -> Line:
    return Line(number, f"row {number}", task, Seen(health, True, 1234.0, 0.125, curves))


def test_words_say_the_numbers_of_all_models() -> None:
    dense = line(2, health=None)
    figure = overview([line()], [line(), dense])
    assert figure.words is not None
    assert figure.words.rows[0] == ("1  row 1", "2.000", "1 of 6", "56.8 %", "0.500", "1.23 k", "12.5 %")
    assert figure.words.rows[1] == ("2  row 2", "–", "–", "–", "–", "1.23 k", "12.5 %")
    many = [line(number) for number in range(MAX_MARKS + 3)]
    figure = overview(many, many)
    assert figure.words is not None and len(figure.words.rows) == MAX_MARKS


def test_layers_are_means_over_domains() -> None:
    figure = by_layer(line())
    assert figure.words is not None
    assert figure.words.rows == (("0", "2.500", "1 of 4", "27.1 %"), ("3", "1.500", "0 of 2", "86.6 %"))
    assert figure.caption.startswith("Worst expert 2.000 × the mean, at most 3.000 × in layer 0; 1 of 6 experts dead;")
    assert figure.caption.endswith("Training: 1.23 k tokens per second, 12.5 % of the product rate.")


def test_dead_experts_have_a_chart_where_there_are_some() -> None:
    assert len(by_layer(line()).spec["vconcat"]) == 3
    assert len(by_layer(line(health=health(domains=("code",)))).spec["vconcat"]) == 2


def test_curves_are_by_task_and_bounded() -> None:
    curves: dict[str, Curve] = {"router cv2": [(1, 0.5), (2, 0.4)], "2. router balance loss": [(1, 0.1), (2, 0.2)]}
    lines = [line(number, task, curves=curves) for number in (1, 2) for task in ("t", "u", "v")]
    figures = over_training(lines)
    assert [figure.title for figure in figures] == [
        "t: CV² of the load over training",
        "u: CV² of the load over training",
        "t: balance loss over training",
        "u: balance loss over training",
    ]
    assert len(figures) == 2 * MAX_CURVES
    single: dict[str, Curve] = {"router cv2": [(1, 0.5)]}
    assert over_training([line(curves=single)]) == []
