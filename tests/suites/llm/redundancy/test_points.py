"""Points of a mixture: cuts of one layer and of all, and what the table says of them."""

import dataclasses

import pytest
import torch

from sparsebench.suites.llm.redundancy.points import bits_per_byte, mean, points_of
from sparsebench.suites.llm.redundancy.table import to_markdown
from sparsebench.suites.llm.small_models.mixture import small_mixtral


@pytest.fixture(scope="module")
def found():
    """An untrained mixture of the small one's shape, on four windows of numbers."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = small_mixtral().eval()
    windows = torch.randint(3, 200, (4, 96), generator=torch.Generator().manual_seed(0))
    whole = bits_per_byte(model, windows)
    points = points_of("untrained", "nothing", model, windows, windows)
    assert bits_per_byte(model, windows) == whole, "the model stays as it is"
    return points


def test_each_layer_and_the_whole_is_cut(found) -> None:
    assert {kind: len(points) for kind, points in found.items()} == {
        "layer 25%": 4,
        "mixture 25%": 1,
        "layer 50%": 4,
        "mixture 50%": 1,
    }
    assert len({point.loss for point in found["layer 50%"] + found["mixture 50%"]}) == 5
    half, quarter = found["layer 50%"][2].measures, found["layer 25%"][2].measures
    assert half["weight left"] > quarter["weight left"] and half["load CV"] == quarter["load CV"]
    assert found["mixture 25%"][0].measures == mean([point.measures for point in found["layer 25%"]])


def test_the_table_says_what_was_left_out(found) -> None:
    many = {}
    for kind, points in found.items():
        many[kind] = [dataclasses.replace(p, mixture=f"m{n}", origin=f"o{n % 2}") for n in range(4) for p in points]
    page = to_markdown(many)
    assert "4 mixtures of 2 origins (m0; m1; m2; m3), 16 layers." in page
    assert "| mixture 50% | the mean of the others | 1.00 [1.00, 1.00] | – |  |" in page
    assert page.count("| all measures |") == 4
