"""Plans of the published tables: one for each, of models whose sizes are counted, of profiles that plan."""

import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.counting import count_parameters
from sparsebench.models.graphsgpt import GraphsGPT, GraphsGPTConfig
from sparsebench.models.moe import MoEConfig
from sparsebench.models.moe.checkpoint.skeleton import build_layers
from sparsebench.models.official.decoders import ffn_recipe
from sparsebench.reports.published.paper_tables import paper_tables, printed
from sparsebench.suites.llm.cluster.plan import on_meta
from sparsebench.suites.llm.cluster.recipe import read_recipe
from sparsebench.suites.molecules.graphsgpt_small import small_config
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import load_profile, narrow
from sparsebench.suites.runner.show.reproduction.plan import Model, Plan, Plans, StandIn, plan_of, plans

PROFILES = {plan.profile: plan.suite for plan in plans().plans.values() if plan.profile}


def test_every_table_has_a_plan() -> None:
    assert list(plans().plans) == list(paper_tables())


def decoder(name: str) -> nn.Module:
    import transformers

    config: Any = getattr(transformers, f"{name}Config")()
    return getattr(transformers, f"{name}ForCausalLM")(config)


def deepseek_moe() -> nn.Module:
    """A Llama with 64 experts and a shared block in all blocks but the first."""
    import transformers

    sizes: dict[str, int] = {"vocab_size": 102400, "hidden_size": 2048, "intermediate_size": 10944}
    config = transformers.LlamaConfig(**sizes, num_hidden_layers=28, num_attention_heads=16)
    model = transformers.LlamaForCausalLM(config)
    routing = MoEConfig(num_experts=65, num_shared=1, top_k=6, scale=1.0)
    mixture = ffn_recipe(routing, [1408] * 64, 1.0, [2 * 1408])
    build_layers(model, {"blocks": {str(index): mixture for index in range(1, 28)}, "attention": {}})
    return model


SHAPES: dict[str, Callable[[], nn.Module]] = {
    "llama-moe-3.0b-2of16": lambda: on_meta(read_recipe("v1_1gpu"), "llama_moe_v1_2of16"),
    "llama-moe-3.5b-4of16": lambda: on_meta(read_recipe("v1_1gpu"), "llama_moe_v1_4of16"),
    "llama-moe-3.5b-2of8": lambda: on_meta(read_recipe("v1_1gpu"), "llama_moe_v1_2of8"),
    "llama-moe-v2-8top2": lambda: on_meta(read_recipe("v2_1gpu"), "llama_moe_v2_8top2"),
    "llama-moe-v2-residual": lambda: on_meta(read_recipe("v2_1gpu"), "v2_1p7top1"),
    "llama-2-7b": lambda: decoder("Llama"),
    "mistral-7b": lambda: decoder("Mistral"),
    "mixtral-8x7b": lambda: decoder("Mixtral"),
    "deepseek-moe-16b": deepseek_moe,
    "vit-b-16": lambda: timm.create_model("vit_base_patch16_224", num_classes=0),
    "vit-s-16": lambda: timm.create_model("vit_small_patch16_224", num_classes=0),
    "graphsgpt-1w": lambda: GraphsGPT(GraphsGPTConfig.faithful(1)),
    "graphsgpt-small": lambda: GraphsGPT(small_config()),
}
"""Models as their published configurations say, those of transformers and timm by their defaults."""


def test_sizes_are_counted_from_shapes(subtests: pytest.Subtests) -> None:
    models = plans().models
    assert models.keys() - SHAPES.keys() == {name for name, model in models.items() if model.by_name}
    for name, build in SHAPES.items():
        with subtests.test(name):
            if name.startswith("llama-moe-"):
                counted = count_parameters(build())
            else:
                with torch.device("meta"):
                    counted = count_parameters(build())
            assert (counted.total, counted.active) == (models[name].total, models[name].active)


@pytest.fixture(scope="module")
def cells() -> dict[str, list[Any]]:
    """The cells of each profile, planned once."""
    return {profile: expand(load_profile(profile, [suite])) for profile, suite in PROFILES.items()}


def test_profiles_plan_and_have_what_tables_name(cells: dict[str, list[Any]], subtests: pytest.Subtests) -> None:
    for name, plan in plans().plans.items():
        if plan.kind == "profile":
            with subtests.test(name):
                found = [cell.info for cell in cells[plan.profile] if not cell.reason]
                assert {info.task for info in found} >= set(plan.tasks)
                labels = {info.label for info in found}
                assert labels >= {*plan.methods, *plan.rows}


def test_columns_and_rows_are_those_of_the_table(cells: dict[str, list[Any]], subtests: pytest.Subtests) -> None:
    for name, plan in plans().plans.items():
        blocks = printed(paper_tables()[name])
        if plan.kind == "profile" and blocks and name != "idat-abstract":  # one difference, of which there is no column
            with subtests.test(name):
                tasks = {task for block in blocks for task, _ in block.columns}
                named_in = [[line.name for line in block.lines] for block in blocks]
                methods = {method for names in named_in for method in names}
                assert set(plan.columns) <= tasks
                rows = {plan.row_of(label, names) for label in plan.rows for names in named_in}
                named = {*rows, *plan.checkpoints}
                if name == "compression-dense":
                    labels = {plan.row_of(cell.info.label) for cell in cells[plan.profile]}
                    named = {f"{model}, {label}" for model in plan.checkpoints for label in labels}
                if plan.backbone.startswith("hf:"):
                    assert named - {"model"} <= methods
                else:
                    assert rows <= methods
                if name == "compression-mixtral":
                    labels = {cell.info.label for cell in cells[plan.profile]}
                    assert {plan.row_of(label) for label in labels} == methods


def test_stand_ins_plan(subtests: pytest.Subtests) -> None:
    for name, plan in plans().plans.items():
        small = plan.stand_in
        if small is not None:
            with subtests.test(name):
                profile = load_profile(plan.profile, [plan.suite])
                tasks = small.tasks or plan.tasks
                part = narrow(profile.plans[0], small.methods or plan.methods, tasks[:1], (small.backbone,), 1)
                planned = expand(dataclasses.replace(profile, plans=(part,)))
                assert any(cell.reason is None for cell in planned)
        else:
            assert plan.kind != "profile", f"{name} has no stand-in"


def test_a_recipe_is_one_that_there_is() -> None:
    for plan in plans().plans.values():
        if plan.recipe:
            assert plan.preset in read_recipe(plan.recipe).presets


@pytest.mark.parametrize("fields", [{}, {"impossible": "so", "recipe": "v1_1gpu"}, {"profile": "quick"}])
def test_a_plan_is_of_one_kind_and_whole(fields: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        Plan(**fields)


def test_plans_that_miss_a_table_or_name_no_model_are_refused() -> None:
    known = plans()
    some = dict(known.plans)
    removed = some.pop("v1-table-2")
    with pytest.raises(ValueError, match="v1-table-2"):
        Plans(models=known.models, plans=some)
    with pytest.raises(ValueError, match="no model llama"):
        Plans(models={"one": Model(total=1, active=1)}, plans={**known.plans, "v1-table-2": removed})
    assert StandIn(backbone="tiny").tasks == ()


def test_a_name_that_there_is_not_has_near_ones() -> None:
    with pytest.raises(UsageError, match="did you mean v1-table-2"):
        plan_of("v1-tabel-2")
