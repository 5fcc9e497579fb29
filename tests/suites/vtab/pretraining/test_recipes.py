"""The recipes: what they may hold, and that nothing of the suite's data is among it."""

import json
from dataclasses import replace
from typing import Any

import grimp
import pytest

from sparsebench.data.cache.ledger import reading
from sparsebench.suites.vtab import own_vit
from sparsebench.suites.vtab.mini_suite import DATA
from sparsebench.suites.vtab.pretraining.recipes import RECIPES, Recipe
from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.stream import ImageStream
from sparsebench.suites.vtab.tasks import mini


def test_every_network_with_weights_of_ours_has_its_recipe() -> None:
    packaged = {file.stem for file in own_vit.WEIGHTS.glob("*.safetensors")}
    assert packaged == set(RECIPES) == set(own_vit.SHAPES)
    assert all(recipe.shape == own_vit.SHAPES[name] for name, recipe in RECIPES.items())


def test_the_cards_hold_the_settings_of_the_recipes() -> None:
    """What is next to the packaged weights is what the script would write today."""
    for name in ("vit_tiny_s", "vit_tiny_b"):
        card = json.loads((own_vit.WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
        recipe = RECIPES[name]
        for setting in ("fractals", "contours", "photographs", "steps", "learning_rate", "patch_drop", "whole"):
            assert card["settings"][setting] == getattr(recipe, setting), (name, setting)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"fractals": 0, "contours": 0, "photographs": 0}, "a recipe without images"),
        ({"fractal_categories": 0}, "fractals=4 and fractal_categories=0: both or neither"),
        ({"contours": 0}, "contours=0 and contour_categories=8: both or neither"),
        ({"whole": 1.5}, "whole=1.5 must lie from 0 to 1"),
    ],
)
def test_what_cannot_be(recipe: Recipe, changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(recipe, **changes)


# Nothing of the suite


def test_the_code_of_the_pre_training_reaches_no_data_of_the_mini_suite() -> None:
    graph = grimp.build_graph("sparsebench.suites", "sparsebench.data", cache_dir=None)
    script = {name for name in graph.modules if name.startswith("sparsebench.suites.vtab.pretraining")}
    readers = {getattr(read, "func", read).__module__ for read in DATA.values()}
    readers |= {"sparsebench.suites.vtab.mini_suite", "sparsebench.suites.vtab.tasks.mini"}
    assert len(readers) >= 7 and readers <= graph.modules and len(script) >= 8
    for module in script:
        reached = graph.find_upstream_modules(module)
        assert not reached & readers, f"{module} reaches {reached & readers}"


def test_drawing_a_batch_reads_no_file_of_any_source(recipe: Recipe, learnt: list[Source]) -> None:
    with reading() as reads:
        ImageStream(learnt, {source.name: 3 for source in learnt}, 0).draw()
    assert reads.files() == ()


def test_no_source_of_a_packaged_network_is_one_of_the_mini_suite() -> None:
    """The cards name what trained: fractals, contours and CIFAR-10."""
    of_the_suite = {name for row in mini.ROWS for name in row[3]}
    for name in RECIPES:
        card = json.loads((own_vit.WEIGHTS / f"{name}.json").read_text(encoding="utf-8"))
        said = " ".join([card["pre-training"], *card.get("sources", [])])
        assert not any(source in said for source in of_the_suite)
        for content in card.get("sources", []):
            assert content.partition(",")[0].split()[-1] in ("fractals", "contours", "CIFAR-10")
