"""Trainer of transformers keeps the experts in its checkpoints and goes on from them bit for bit."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM, TrainerCallback

from sparsebench.models import load
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert, update_biases

from ..hf_trainer.tiny_trainer import trainer

CONFIG = MoEConfig(num_experts=5, num_shared=1, router="mlp", attn=AttnMoEConfig(num_experts=2, top_k=1))


class Stop(TrainerCallback):
    def on_step_end(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        if state.global_step == 2:
            control.should_training_stop = True


def trained(model: Any, folder: Path, resume: bool = False, *further: TrainerCallback) -> dict[str, Tensor]:
    settings = {"save_strategy": "steps", "save_steps": 2, "learning_rate": 0.01, "optim": "adamw_torch"}
    trainer(model, folder, further, **settings).train(resume_from_checkpoint=resume)
    return model.state_dict()


def test_trainer_goes_on_bit_for_bit(build: Callable[[str], nn.Module], run: Any, tmp_path: Path) -> None:
    model = convert(build("llama"), CONFIG)
    start = {name: value.clone() for name, value in model.state_dict().items()}
    whole = trained(model, tmp_path / "whole")
    trained(convert(build("llama"), CONFIG), tmp_path / "halves", False, Stop())
    checkpoint = tmp_path / "halves" / "checkpoint-2"
    # A new process has the model from the checkpoint, or converts again; both go on alike.
    for other in (AutoModelForCausalLM.from_pretrained(checkpoint), convert(build("llama"), CONFIG)):
        halves = trained(other, tmp_path / "halves", resume=True)
        assert whole.keys() == halves.keys()
        assert all(torch.equal(value, halves[name]) for name, value in whole.items())
    moved = [name for name, value in whole.items() if not torch.equal(value, start[name])]
    assert {"model.layers.1.mlp.experts.down", "model.layers.0.self_attn.qkv"} <= set(moved)
    batch = torch.arange(3, 9)[None]
    last = tmp_path / "whole" / "checkpoint-4"
    assert torch.equal(run(AutoModelForCausalLM.from_pretrained(last), batch), run(model.eval(), batch))
    assert torch.equal(run(load(last), batch), run(model, batch))


class MoveBiases(TrainerCallback):
    def on_optimizer_step(self, args: Any, state: Any, control: Any, **keywords: Any) -> None:
        update_biases(keywords["model"])


def test_biases_move_by_a_callback_and_are_kept(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    """Four steps at a rate of 1 / 128: exact numbers, and some expert off the mean has moved."""
    config = MoEConfig(num_experts=4, balance="bias", bias_rate=1 / 128)
    model: Any = convert(build("llama"), config)
    trained(model, tmp_path, False, MoveBiases())
    again: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "checkpoint-4")
    for layer, kept in zip(model.model.layers, again.model.layers, strict=True):
        value = layer.mlp.router.choice_bias.value
        steps = value * 128
        assert steps.any() and steps.abs().max() <= 4 and torch.equal(steps, steps.round())
        assert torch.equal(kept.mlp.router.choice_bias.value, value)
