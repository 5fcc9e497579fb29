"""What the router callback logs, against counts by hand of the batches that a real `Trainer` trained on."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor
from transformers import AutoModelForCausalLM

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback, router_lines

from ..routing.by_hand import counted
from .tiny_trainer import MICRO, STEPS, logged, trainer

Build = Callable[[str], Any]
CONFIG = MoEConfig(num_experts=6, top_k=2, balance="cv2")
LAYERS = ("model.layers.0.mlp", "model.layers.1.mlp")


def picks_of(model: Any, batches: Sequence[dict[str, Tensor]]) -> list[list[int]]:
    """Real tokens of each expert in training mode, layer by layer."""
    found = counted(model.train(), [f"{layer}.router" for layer in LAYERS], batches)
    return [found[layer].picks for layer in LAYERS]


def lines_by_hand(picks: list[list[int]]) -> tuple[float, float, int]:
    cv2 = []
    worst = []
    dead = 0
    for layer in picks:
        mean = sum(layer) / 6
        cv2.append(sum((count - mean) ** 2 for count in layer) / 5 / mean**2)
        worst.append(max(layer) / mean)
        dead += layer.count(0)
    return sum(cv2) / 2, max(worst), dead


def test_the_lines_are_those_of_the_real_tokens_of_training(build: Build, tmp_path: Path) -> None:
    """With evaluations in between, gradients in micro-batches, and weights that stay as they are."""
    model = convert(build("llama"), CONFIG)
    changes: dict[str, Any] = {"learning_rate": 0.0, "logging_steps": 2, "eval_strategy": "steps", "eval_steps": 1}
    done = trainer(model, tmp_path, **changes)
    done.add_callback(RouterHealthCallback(done, detail="experts"))
    done.add_callback(BalanceLossCallback())
    done.train()
    assert len(logged(done, "loss")) == len(logged(done, "router_cv2")) == STEPS // 2
    assert all(not module._forward_pre_hooks for module in model.modules() if "Experts" in type(module).__name__)
    trained = done.data_collator.batches
    for window in range(STEPS // 2):
        batches = trained[window * 2 * MICRO : (window + 1) * 2 * MICRO]
        picks = picks_of(model, batches)
        cv2, worst, dead = lines_by_hand(picks)
        assert logged(done, "router_cv2")[window] == pytest.approx(cv2, rel=1e-6)
        assert logged(done, "router_worst")[window] == pytest.approx(worst, rel=1e-6)
        assert logged(done, "router_dead")[window] == dead
        for layer, name in enumerate(LAYERS):
            for expert in range(6):
                load = picks[layer][expert] / sum(picks[layer])
                assert logged(done, f"router_load/{name}/{expert}")[window] == pytest.approx(load)


def test_every_so_many_steps_are_watched(build: Build, tmp_path: Path) -> None:
    model = convert(build("llama"), CONFIG)
    done = trainer(model, tmp_path, learning_rate=0.0, logging_steps=STEPS)
    done.add_callback(RouterHealthCallback(done, every=3))
    done.train()
    batches = done.data_collator.batches
    watched = batches[:MICRO] + batches[3 * MICRO : 4 * MICRO]
    assert logged(done, "router_cv2") == [pytest.approx(lines_by_hand(picks_of(model, watched))[0])]


@pytest.mark.parametrize("family", ["mixtral", "olmoe"])
def test_stock_mixtures_are_watched_and_training_goes_on_the_same(build: Build, tmp_path: Path, family: str) -> None:
    """From the model of the checkpoint: `Trainer` itself does not put the experts of a stock mixture back (5.24)."""
    settings: dict[str, Any] = {"save_strategy": "steps", "save_steps": 2}
    checkpoint = tmp_path / "checkpoint-2"
    lines = []
    for resume in (None, str(checkpoint)):
        model = build(family) if resume is None else AutoModelForCausalLM.from_pretrained(checkpoint)
        model.set_experts_implementation("eager")  # the default needs rows of 16 bytes
        done = trainer(model, tmp_path, [BalanceLossCallback()], **settings)
        done.add_callback(RouterHealthCallback(done, detail="layers"))
        done.train(resume_from_checkpoint=resume)
        keys = ("loss", "router_cv2", "router_worst", "router_dead", f"router_cv2/{LAYERS[1]}")
        lines.append([logged(done, key) for key in keys])
    assert lines[0] == lines[1]
    assert all(len(values) == STEPS for values in lines[0])


def test_it_changes_nothing(build: Build, tmp_path: Path) -> None:
    losses = []
    for watched in (True, False):
        done = trainer(convert(build("llama"), CONFIG), tmp_path)
        if watched:
            done.add_callback(RouterHealthCallback(done))
        done.train()
        losses.append(logged(done, "loss"))
    assert losses[0] == losses[1]


def test_lines_of_even_and_of_uneven_loads() -> None:
    even = torch.full((4,), 5.0, dtype=torch.float64)
    one = torch.tensor([8.0, 0.0, 0.0, 0.0], dtype=torch.float64)
    lines = router_lines({"a": even, "b": one}, "experts")
    assert lines["router_cv2"] == pytest.approx(2)
    assert lines["router_cv2/b"] == pytest.approx(4)
    assert (lines["router_worst"], lines["router_worst/a"]) == (4, 1)
    assert (lines["router_dead"], lines["router_dead/a"]) == (3, 0)
    assert [lines[f"router_load/b/{expert}"] for expert in range(4)] == [1, 0, 0, 0]


def test_a_dense_model_and_bad_settings_are_refused(build: Build, tmp_path: Path) -> None:
    done = trainer(build("llama"), tmp_path)
    done.add_callback(RouterHealthCallback(done))
    with pytest.raises(ModelError, match="has no mixture of experts to watch"):
        done.train()
    with pytest.raises(ModelError, match="detail"):
        RouterHealthCallback(done, detail="layer")  # pyright: ignore[reportArgumentType]
    with pytest.raises(ModelError, match="every=0 must be 1 or more steps"):
        RouterHealthCallback(done, every=0)
