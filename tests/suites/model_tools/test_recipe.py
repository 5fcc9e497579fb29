"""Recipes in YAML, and from options: every mistake is named with what is near."""

from pathlib import Path
from typing import Any

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.suites.model_tools._options import steps_of
from sparsebench.suites.model_tools._values import count
from sparsebench.suites.model_tools.recipe import KINDS, read_recipe, step
from sparsebench.suites.model_tools.steps.healing import Heal
from sparsebench.suites.model_tools.steps.trimming import Drop, Experts
from sparsebench.suites.model_tools.steps.weights import Prune, Quantise

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


MISTAKES = {
    "": "has no steps",
    "- quantise": "has no steps",
    "step: []": "unknown key 'step'; did you mean steps",
    "steps: {quantise: {bits: 4}}": "steps is to be a list",
    "steps: []": "steps is to be a list",
    "steps: [": "is no YAML",
    "steps: [{quantize: {bits: 4}}]": "step 1: unknown step 'quantize'; did you mean quantise",
    "steps: [{quantise: {bit: 4}}]": "unknown key 'bit'; did you mean bits",
    "steps: [{quantise: 4}]": "write its settings as quantise",
    "steps: [{quantise: {bits: four}}]": "bits='four'",
    "steps: [{quantise: {bits: true}}]": "bits=True",
    "steps: [{quantise: {bits: -4}}]": "bits=-4 must be a whole number in 2..8",
    "steps: [{quantise: {}, heal: {}}]": "write one step as",
    "steps: [heal]": "heal: tokens is missing",
    "steps: [{heal: {tokens: many}}]": "'many' is no number",
    "steps: [{experts: {keep: 1.5}}]": "keep=1.5, the fraction",
    "steps: [{experts: {score: reep}}]": "score='reep'",
    "steps: [{convert: {preset: cmoe_3p1of}}]": "did you mean 'cmoe_3p1of8'",
    "steps: [{convert: {top_k: 2}}]": "name a preset, or num_experts",
    "steps: [{convert: {num_expert: 2}}]": "unknown key 'num_expert'; did you mean num_experts",
    "steps: [{convert: {num_experts: eight}}]": "convert: num_experts='eight'",
    "steps: [{convert: {num_experts: 4, targets: mlp}}]": "convert: targets='mlp'",
    "steps: [{convert: {num_experts: 4, faithful: true}}]": "faithful is for presets",
    "steps: [{search: {}}]": "name one of the two budgets",
    "steps: [{prune: {ignore: ['(']}}]": "is no regular expression",
    "steps: [{drop: {what: layers, number: 0}}]": "number=0",
}


def test_mistakes_in_a_file(tmp_path: Path) -> None:
    file = tmp_path / "recipe.yaml"
    for text, message in MISTAKES.items():
        file.write_text(text)
        with pytest.raises(ModelError) as error:
            read_recipe(file)
        assert message in str(error.value), text
    with pytest.raises(ModelError, match=r"there is no recipe .*did you mean .*recipe\.yaml"):
        read_recipe(tmp_path / "recipe.yml")


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


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "nothing to do"),
        ({"score": "reap"}, "score goes with keep_experts or budget"),
        ({"bits": 0}, "bits=0 must be"),
        ({"heal": "200k"}, "is to be key=value, such as tokens=200k"),
        ({"budget": "byte=0.5"}, "unknown key 'byte'; did you mean bytes"),
        ({"budget": "bytes=1.5"}, "must lie in"),
        ({"bit": 4}, "unknown option 'bit'; did you mean bits"),
    ],
)
def test_mistakes_in_options(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError) as error:
        steps_of(None, options)
    assert message in str(error.value)


def test_a_recipe_says_all() -> None:
    with pytest.raises(ModelError, match="leave bits out"):
        steps_of([step("quantise")], {"bits": 4})
    with pytest.raises(ModelError, match="has no steps"):
        steps_of([], {})
    assert count(3) == 3 and count("2k") == 2000
