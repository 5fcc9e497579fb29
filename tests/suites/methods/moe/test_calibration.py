"""Calibration of the converting methods: once per process for equal weights and data, gradients of the right loss."""

from pathlib import Path

import pytest
import timm
import torch
from torch import nn

from sparsebench.models.calibration import statistics_cache
from sparsebench.models.moe import MoEConfig, convert
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.contracts.task import Setup
from sparsebench.suites.methods.moe import _calibration
from sparsebench.suites.methods.moe._calibration import calibration, expert_statistics, split_seed

from ..setups import text


@pytest.fixture
def setup() -> Setup:
    return text()


def test_calibration_is_done_once_for_equal_weights_and_data(setup: Setup, monkeypatch: pytest.MonkeyPatch) -> None:
    calls = []
    original = _calibration.calibrate
    monkeypatch.setattr(_calibration, "calibrate", lambda *a, **k: calls.append(1) or original(*a, **k))
    monkeypatch.setattr(_calibration, "_calibrations", {})
    first = calibration(setup.model, setup.context, gradients=False)
    assert calibration(setup.model, setup.context, gradients=False) is first
    assert calibration(setup.model, setup.context, gradients=True) is not first
    with torch.no_grad():
        next(setup.model.parameters()).mul_(2)
    assert calibration(setup.model, setup.context, gradients=False) is not first
    assert len(calls) == 3
    assert len(_calibration._calibrations) == 1


def test_statistics_of_experts_are_taken_once_for_equal_weights_and_data(
    setup: Setup, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    calls = []
    original = statistics_cache.mixture_statistics
    monkeypatch.setattr(statistics_cache, "mixture_statistics", lambda *a, **k: calls.append(1) or original(*a, **k))
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    model = convert(setup.model, MoEConfig(num_experts=4, top_k=2))
    first = expert_statistics(model, setup.context)
    again = expert_statistics(model, setup.context)
    assert len(calls) == 1 and first[0].num_experts == 4 and torch.equal(again[0].norm, first[0].norm)
    assert expert_statistics(model, setup.context, all_outputs=True)[0].all_output is not None
    with torch.no_grad():
        next(model.parameters()).mul_(2)
    assert not torch.equal(expert_statistics(model, setup.context)[0].norm, first[0].norm)
    assert len(calls) == 3 and len(list((tmp_path / "statistics").iterdir())) == 3


def test_gradients_of_a_prediction_task_are_those_of_its_own_loss() -> None:
    """A batch is (inputs, targets); calibration must see the gradient of the loss summed over the examples."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = timm.create_model(
            "vit_tiny_patch16_224", img_size=32, embed_dim=32, depth=2, num_heads=4, num_classes=2
        ).eval()
        batches = [(torch.randn(n, 3, 32, 32), torch.tensor([0, 1, 1][:n])) for n in (3, 1)]
    context = Context(
        suite="vtab",
        task="t",
        seed=0,
        target=Target("classification", 2),
        batches=lambda: batches,
        inputs=lambda batch: batch[0],
        loss=lambda m, batch: nn.functional.cross_entropy(m(batch[0]), batch[1]),
    )
    found = calibration(model, context, gradients=True).samples[0].dh
    assert found is not None
    hidden: list[torch.Tensor] = []
    model.blocks[0].mlp.fc2.register_forward_pre_hook(lambda module, args: hidden.append(args[0]))
    slow = [nn.functional.cross_entropy(model(x), y, reduction="sum") for x, y in batches]
    expected = torch.autograd.grad(slow[0] + slow[1], hidden)
    torch.testing.assert_close(found, torch.cat([gradient.flatten(0, -2) for gradient in expected]))


def test_the_split_seed_is_that_of_the_replicate_whatever_the_task() -> None:
    seeds = [split_seed(Context(suite="llm", task=task, seed=seed)) for task, seed in (("a", 0), ("b", 0), ("a", 1))]
    assert seeds[0] == seeds[1] != seeds[2]
