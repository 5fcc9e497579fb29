"""Recipes: those that come along are the papers' settings, and mistakes in a file have their place."""

from pathlib import Path

import pytest
import yaml

from sparsebench.suites.llm.cluster.recipe import FOLDER, Recipe, Stage, read_recipe, recipe_names

STAGE = {"name": "one", "data": "text", "rows": 8, "tokens": 1000, "learning_rate": 0.1}
CONTENT = {
    "caption": "tiny",
    "presets": ["llama_moe_v2_8top2"],
    "shape": {"hidden_size": 8},
    "gpus": 2,
    "gigabytes": 1,
    "length": 16,
    "micro_batch": 2,
    "stages": [STAGE],
}


def test_the_recipes_say_that_they_have_not_run() -> None:
    assert recipe_names() == ["v1_1gpu", "v1_8gpu", "v2_1gpu", "v2_8gpu"]
    for name in recipe_names():
        assert (FOLDER / f"{name}.yaml").read_text().startswith("# Not run here. ")


def test_v1_has_the_papers_step_and_schedule() -> None:
    """112 GPUs x 4 micro-batches x 8 rows of 4,096 tokens; 200 billion tokens are 13.6 thousand steps."""
    recipe = read_recipe("v1_8gpu")
    (stage,) = recipe.stages
    assert recipe.step_tokens(stage) == 112 * 4 * 8 * 4096 == 14_680_064
    assert recipe.accumulation(stage) == 56
    assert recipe.steps(stage) == 13_624
    assert (stage.learning_rate, stage.least_rate, stage.warmup, stage.betas) == (2e-4, 0.1, 100, (0.9, 0.95))
    assert (stage.weight_decay, stage.clip) == (0.1, 1.0)
    assert sum((stage.weights or {}).values()) == pytest.approx(1)


def test_v2_has_two_stages_of_256_rows() -> None:
    recipe = read_recipe("v2_8gpu")
    assert [stage.name for stage in recipe.stages] == ["general", "mathematics and code"]
    for stage in recipe.stages:
        assert recipe.step_tokens(stage) == 256 * 4096
        assert (stage.data, stage.learning_rate, stage.schedule, stage.warmup) == (
            "conversations",
            2e-5,
            "cosine",
            0.03,
        )
        assert (stage.weight_decay, recipe.train) == (0, "all")


@pytest.mark.parametrize(("name", "millions", "accumulation"), [("v1_1gpu", 0.524288, 128), ("v2_1gpu", 0.065536, 16)])
def test_one_gpu_takes_smaller_steps(name: str, millions: float, accumulation: int) -> None:
    recipe = read_recipe(name)
    stage = recipe.stages[0]
    large = read_recipe(name.replace("1gpu", "8gpu"))
    assert recipe.step_tokens(stage) == millions * 1e6
    assert (recipe.gpus, recipe.accumulation(stage)) == (1, accumulation)
    assert (recipe.shape, recipe.presets) == (large.shape, large.presets)
    root = (large.step_tokens(large.stages[0]) / recipe.step_tokens(stage)) ** 0.5
    assert stage.learning_rate == pytest.approx(large.stages[0].learning_rate / root, rel=0.01)


def test_a_file_of_ones_own(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(CONTENT))
    recipe = read_recipe(file)
    assert isinstance(recipe, Recipe) and isinstance(recipe.stages[0], Stage)
    assert recipe.steps(recipe.stages[0]) == 8  # 1,000 tokens in steps of 128


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"gpu": 2}, r"gpu: Unexpected keyword argument"),
        ({"stages": [STAGE | {"rate": 1}]}, r"stages\.0\.rate: Unexpected keyword argument"),
        ({"stages": [STAGE | {"data": "txt"}]}, r"stages\.0\.data: Input should be 'text' or 'conversations'"),
        ({"stages": [STAGE | {"rows": 10}]}, r"10 rows cannot be shared out evenly over 2 GPUs with 2 at a time"),
        ({"stages": []}, r"at least one stage and one preset"),
    ],
)
def test_mistakes_have_their_place(tmp_path: Path, change: dict[str, object], message: str) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text(yaml.safe_dump(CONTENT | change))
    with pytest.raises(ValueError, match=message):
        read_recipe(file)


def test_unknown_and_broken_files(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"no recipe 'v1_9gpu'.*v1_8gpu"):
        read_recipe("v1_9gpu")
    with pytest.raises(ValueError, match=r"nothing\.yaml"):
        read_recipe(tmp_path / "nothing.yaml")
    (tmp_path / "broken.yaml").write_text("a: [")
    with pytest.raises(ValueError, match=r"broken\.yaml"):
        read_recipe(tmp_path / "broken.yaml")
