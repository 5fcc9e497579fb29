"""The health of routers as curves over layers: there and back, with links of a chain; refused where they do not fit."""

import pytest

from sparsebench.reports.records.record import RecordError
from sparsebench.reports.routers.health import LayerNumbers, RouterHealth, is_of_routers
from sparsebench.reports.routers.layer_curves import from_curves, to_curves

LAYERS = {
    "0": LayerNumbers(1.5, (1, 3), 0.9, 0.5, 0.25),
    "0 attention": LayerNumbers(1.25, (), 1.0, None, 0.125),
    "2": LayerNumbers(2.0, (2,), 0.7, None, 0.5),
}


def test_there_and_back_but_for_which_experts_are_dead_and_token_entropy() -> None:
    curves = to_curves(LAYERS, (4, 2, 3))
    assert curves["router worst expert by layer"] == [(0.0, 1.5), (2.0, 2.0)]
    assert curves["router attention experts by layer"] == [(0.0, 2.0)]
    assert len(curves) == 10 and all(map(is_of_routers, curves))
    numbers = (
        LayerNumbers(1.5, (0, 1), 0.9, None, 0.25),
        LayerNumbers(2.0, (0,), 0.7, None, 0.5),
        LayerNumbers(1.25, (), 1.0, None, 0.125),
    )
    assert from_curves(curves, "seen") == RouterHealth(("0", "2", "0 attention"), (4, 3, 2), {"seen": numbers})


def test_the_last_link_of_a_chain_counts() -> None:
    curves: dict[str, list[tuple[float, float]]] = {"router cv2": [(1.0, 0.5)], "train loss": [(1.0, 2.0)]}
    assert from_curves(curves, "d") is None
    for link, worst in (("2. ", 1.5), ("10. ", 3.0)):
        one = to_curves({"1": LayerNumbers(worst, (), 1.0, None, 0.1)}, (4,))
        curves |= {link + name: points for name, points in one.items()}
    health = from_curves(curves, "d")
    assert health is not None and health.domains["d"][0].worst == 3.0 and len(health.layers) == 1


def test_curves_that_do_not_fit_are_refused() -> None:
    curves = to_curves(LAYERS, (4, 2, 3))
    del curves["router entropy by layer"]
    with pytest.raises(RecordError, match="the curves 'router' by layer are not of the same layers"):
        from_curves(curves, "d")
