"""Recipes from the dense model to the last stage, in one process and in two; a kill changes nothing."""

import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, TrainerState
from transformers.training_args import OptimizerNames

from sparsebench.models.errors import ModelError
from sparsebench.models.loss_scale import loss_scale
from sparsebench.suites.llm.cluster.recipe import read_recipe
from sparsebench.suites.llm.cluster.stages import FiniteLoss, Run, arguments, prepare, train
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

from .conftest import Runs
from .tiny import SHAPE, recipe, write_model, write_texts


def test_every_run_ends(runs: Runs) -> None:
    for name, codes in runs.codes.items():
        expected = 0
        if name.endswith("killed"):
            expected = -signal.SIGKILL
        assert set(codes) == {expected}, f"{name}: {runs.errors[-3000:]}"


@pytest.mark.parametrize("case", ["one", "two"])
def test_a_killed_run_goes_on_bit_for_bit(runs: Runs, case: str) -> None:
    """With the noise of the routers of v1, in one process and by FSDP2 in two."""
    whole = runs.weights(f"{case}, whole", "1 first/final")
    parts = runs.weights(f"{case}, parts", "1 first/final")
    assert whole.keys() == parts.keys()
    assert all(torch.equal(value, parts[name]) for name, value in whole.items())
    for name in ("loss", "router_cv2", "num_input_tokens_seen"):
        lines = []
        for place in ("whole", "parts"):
            log = runs.log(f"{case}, {place}", "1 first")
            lines.append([line[name] for line in log if name in line])
        assert lines[0] == lines[1]
        assert len(lines[0]) >= 3


def test_two_processes_train_what_one_does(runs: Runs) -> None:
    """The first step starts from the same weights and rows; noise and micro-batches of the balance loss differ."""
    first = [runs.log(f"{case}, whole", "1 first")[0] for case in ("one", "two")]
    assert first[0]["num_input_tokens_seen"] == first[1]["num_input_tokens_seen"] == 2 * 32
    assert first[0]["loss"] == pytest.approx(first[1]["loss"], abs=0.1)


def test_a_stage_starts_where_the_one_before_it_ended(runs: Runs) -> None:
    last = [line["loss"] for line in runs.log("mixtures, whole", "1 first") if "loss" in line][-1]
    then = [line["loss"] for line in runs.log("mixtures, whole", "2 second") if "loss" in line]
    assert then[0] < last
    rates = [line["learning_rate"] for line in runs.log("mixtures, whole", "2 second") if "learning_rate" in line]
    assert rates == pytest.approx([0, 0.01, 0.0055])


def test_mixtures_alone_train_where_the_recipe_says_so(runs: Runs) -> None:
    start = runs.weights("mixtures, whole", "start")
    end = runs.weights("mixtures, whole", "2 second/final")
    moved = set()
    for name, value in start.items():
        if ".mlp." in name:
            assert end[name].dtype == value.dtype
            if not torch.equal(value, end[name]):
                moved.add(name.rpartition("mlp.")[2])
        else:
            assert torch.equal(value.to(torch.bfloat16), end[name])
    assert moved == {"router.weight", "experts.gate_up", "experts.down", "shared.gate_up", "shared.down"}


def test_shared_out_experts_give_a_stock_checkpoint(runs: Runs) -> None:
    start = AutoModelForCausalLM.from_pretrained(runs.folder / "experts, whole" / "start")
    end = AutoModelForCausalLM.from_pretrained(runs.folder / "experts, whole" / "1 first" / "final")
    assert type(end).__name__ == "MixtralForCausalLM"
    for name, value in start.state_dict().items():
        assert not torch.equal(value, end.state_dict()[name]), name
    assert not list((runs.folder / "experts, whole").glob("*/checkpoint-3/optimizer*"))


def run_of(tmp_path: Path, **changes: Any) -> Run:
    file = tmp_path / "recipe.yaml"
    file.write_text(yaml.safe_dump(recipe(1, "text", "llama_moe_v2_8top2") | changes))
    return Run(recipe=read_recipe(file), out=tmp_path / "out", data=tmp_path / "data")


def test_settings_are_those_of_the_recipe(tmp_path: Path) -> None:
    run = Run(recipe=read_recipe("v1_1gpu"), out=tmp_path, data=tmp_path)
    found = arguments(run, run.recipe.stages[0])
    assert (found.max_steps, found.gradient_accumulation_steps, found.per_device_train_batch_size) == (3815, 128, 1)
    assert (found.learning_rate, found.lr_scheduler_kwargs) == (3.8e-5, {"min_lr_rate": 0.1})
    assert (found.warmup_steps, found.weight_decay, found.max_grad_norm, found.bf16) == (100, 0.1, 1.0, True)
    assert not found.logging_nan_inf_filter, "a NaN would be hidden"
    assert (found.optim, found.activation_checkpointing) == (OptimizerNames.ADAFACTOR, True)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    write_model(tmp_path / "dense")
    write_texts(tmp_path / "data" / "first")
    run = run_of(tmp_path)
    with pytest.raises(ValueError, match="start is not there: convert the model"):
        train(run, run.recipe.stages[0])
    wider = run_of(tmp_path, shape={"hidden_size": 64})
    with pytest.raises(ValueError, match="hidden_size is 32, the recipe is for 64"):
        prepare(wider, tmp_path / "dense")
    other = tmp_path / "other"
    LlamaForCausalLM(LlamaConfig(**{**SHAPE, "vocab_size": 400})).save_pretrained(other)
    byte_tokenizer().save_pretrained(other)
    larger = run_of(tmp_path, shape={"hidden_size": 32})
    with pytest.raises(ValueError, match="the tokenizer has 257 tokens and the model's embedding 400 rows"):
        prepare(larger, other)
    two = run_of(tmp_path, gpus=2)
    with pytest.raises(ValueError, match="the recipe is for 2 GPUs, and 1 processes were started"):
        train(two, two.recipe.stages[0])
    tanh = Run(recipe=run.recipe, out=run.out, data=run.data, experts_over=2)
    with pytest.raises(ModelError, match="a router of the kind 'mlp'"):
        prepare(tanh, tmp_path / "dense", "llama_moe_v1_4of16")
    (other / "config.json").write_text(json.dumps({"model_type": "mixtral", "scale_factor": 4.0}))
    with pytest.raises(ModelError, match=r"LLaMA-MoE v2, .*`sparsebench import"):
        prepare(larger, other)


def test_a_loss_that_is_not_finite_ends_the_training(tmp_path: Path) -> None:
    write_model(tmp_path / "dense")
    write_texts(tmp_path / "data" / "first")
    run = run_of(tmp_path)
    broken = replace(run, log_steps=1)
    prepare(broken, tmp_path / "dense")
    weights = load_file(run.start / "model.safetensors")
    weights["model.norm.weight"][0] = float("nan")
    save_file(weights, run.start / "model.safetensors", {"format": "pt"})
    with pytest.raises(FloatingPointError, match="loss is nan at step 1: lower the learning rate"):
        train(broken, broken.recipe.stages[0])
    assert loss_scale() == 1, "the scale of its micro-batches is no other training's"
    assert not (run.folder(run.recipe.stages[0]) / "final").exists()


ANY: Any = None


def look(logs: dict[str, Any] | None) -> None:
    FiniteLoss().on_log(ANY, TrainerState(global_step=7), ANY, logs)


@pytest.mark.parametrize("name", ["loss", "grad_norm"])
@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_what_is_not_finite_is_named_with_its_step(name: str, value: float) -> None:
    with pytest.raises(FloatingPointError, match=f"{name} is {value} at step 7: lower the learning rate"):
        look({"learning_rate": 0.1, name: value})


def test_other_lines_pass() -> None:
    look({"loss": 2.5, "grad_norm": 1.0})
    look({"router_cv2": 0.5})
    look(None)
