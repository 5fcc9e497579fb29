"""Figures over layers: what stands in the SVG."""

import re

from sparsebench.reports.figures.layer_plots import LayerMark, router_health
from sparsebench.reports.routers.health import Spread


def mark(layer: int, dead: int = 0) -> LayerMark:
    return LayerMark(layer, Spread(1.5, 1.2, 2.0), Spread(90.0, 80.0, 95.0), dead)


def test_the_parts_of_a_model_have_lines_of_their_own() -> None:
    one = router_health({"FFN": [mark(0), mark(1, 2)]}, "Health of <x>")
    both = router_health({"FFN": [mark(0), mark(1)], "attention": [mark(1), mark(2)]}, "t")
    assert one.startswith("<svg") and 'aria-label="Health of &lt;x&gt;"' in one
    assert "FFN</text>" not in one
    for word in ("FFN", "attention", "layer", "dead", "worst ÷ mean", "entropy, %"):
        assert f"{word}</text>" in both
    assert "#0072b2" in one and "#d55e00" not in one and "#d55e00" in both
    assert "currentColor" in one and 'fill: #ffffff"' not in one


def test_layers_and_counts_are_whole_numbers_and_the_figure_is_deterministic() -> None:
    marks = {"FFN": [mark(layer, dead=layer % 2) for layer in range(3)]}
    svg = router_health(marks, "t")
    assert svg == router_health(marks, "t")
    labels = re.findall(r">(\d+(?:\.\d+)?)</text>", svg)
    assert {"0", "1", "2"} <= set(labels)
    assert len(svg) < 40_000
