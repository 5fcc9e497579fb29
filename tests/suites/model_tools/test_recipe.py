"""Recipes in YAML, and from options. Mistakes: `tests/faults/verbs/test_recipes.py`."""

from pathlib import Path
from typing import Any

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.suites.model_tools._options import steps_of
from sparsebench.suites.model_tools._values import count
from sparsebench.suites.model_tools.recipe import KINDS, read_recipe, step
from sparsebench.suites.model_tools.steps.healing import Heal
from sparsebench.suites.model_tools.steps.trimming import Drop, Experts
from sparsebench.suites.model_tools.steps.weights import Prune, Quantise, Search

RECIPE = """
steps:
  - convert: {preset: llama_moe_v2_8top2}
  - experts: {keep: 0.5, score: ean}
  - heal: {tokens: 200k}
  - quantise: {bits: 3, group_size: row, ignore: ['layers\\.0\\.']}
"""


def test_a_file_is_read(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    file.write_text(RECIPE)
    steps = read_recipe(file)
    assert [one.name for one in steps] == ["convert", "experts", "heal", "quantise"]
    assert [one.step for one in steps[1:]] == [
        Experts(keep=0.5, score="ean"),
        Heal(tokens=200_000),
        Quantise(bits=3, group_size="row", ignore=("layers\\.0\\.",)),
    ]
    assert str(steps[1]) == "experts keep=0.5 score=ean"
    assert [one.step for one in steps_of(file, {})] == [one.step for one in steps]


UNUSED = ("convert", "search")


def test_options_are_carried_out_in_one_order() -> None:
    options: dict[str, Any] = {
        "bits": 4,
        "group_size": "32",
        "sparsity": 0.5,
        "pruning": "magnitude",
        "drop_blocks": 1,
        "drop_layers": 2,
        "keep_experts": 0.5,
        "heal": "tokens=1.5k,train=norms",
        "ignore": ["layers.0"],
        "zero_points": False,
        "score": None,
    }
    steps = steps_of(None, options)
    assert sorted({one.name for one in steps}, key=list(KINDS).index) == [kind for kind in KINDS if kind not in UNUSED]
    ignore = ("layers.0",)
    assert [one.step for one in steps] == [
        Experts(keep=0.5, ignore=ignore),
        Drop(what="layers", number=2, ignore=ignore),
        Drop(what="blocks", number=1, ignore=ignore),
        Prune(sparsity=0.5, method="magnitude", ignore=ignore),
        Heal(tokens=1500, train="norms"),
        Quantise(bits=4, group_size=32, ignore=ignore),
    ]


@pytest.mark.parametrize("after", [{"heal": "tokens=200k"}, {"bits": 4}])
def test_a_search_that_may_round_is_the_last_that_does(after: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match="or let the search change something else than bits") as refused:
        steps_of(None, {"budget": "bytes=0.5", **after})
    assert "\n" not in str(refused.value)
    steps = steps_of(None, {"budget": "bytes=0.5,change=experts", **after})
    assert steps[0].step == Search(bytes=0.5, change=("experts",)) and len(steps) == 2
    assert [one.name for one in steps_of([step("heal", {"tokens": 9}), step("search", {"bytes": 0.5})], {})]


def test_a_recipe_says_all() -> None:
    with pytest.raises(ModelError, match="leave bits out"):
        steps_of([step("quantise")], {"bits": 4})
    with pytest.raises(ModelError, match="has no steps"):
        steps_of([], {})
    assert count(3) == 3 and count("2k") == 2000
