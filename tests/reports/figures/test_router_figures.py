"""Figures of the routers of a suite's rows: numbers in words, bounds."""

from collections.abc import Mapping
from types import MappingProxyType

from sparsebench.reports.figures.plots import MAX_MARKS
from sparsebench.reports.figures.router_figures import MAX_CURVES, Curve, Line, Seen, by_layer, over_training, overview
from sparsebench.reports.routers.health import LayerNumbers, RouterHealth

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
