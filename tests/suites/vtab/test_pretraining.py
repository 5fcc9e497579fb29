"""The pre-training script: its loss, its steps, and the files that it writes."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from sparsebench.data.vision.fractals import categories
from sparsebench.suites.training.optimizer import parameter_groups, warmup_cosine
from sparsebench.suites.vtab import pretraining
from sparsebench.suites.vtab.vit_fractal import vit_fractal


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretraining, "BATCH", 16)
    monkeypatch.setattr(pretraining, "STEPS", 4)
    monkeypatch.setattr(pretraining, "VALIDATION", 32)


def test_images_are_normalised_as_the_body_does_it() -> None:
    images, labels, placement = pretraining.draw(categories(5, 0), 12, np.random.default_rng(0))
    assert images.shape == (12, 3, 32, 32) and images.dtype == torch.float32
    assert images.min() >= -1 and images.max() <= 1 and images.min() < -0.5
    assert labels.shape == (12,) and set(labels.tolist()) <= set(range(5)) and placement.shape == (12, 4)


def test_losses_by_hand() -> None:
    outputs = torch.randn(3, 204, generator=torch.Generator().manual_seed(0))
    labels, placement = torch.tensor([0, 7, 199]), torch.zeros(3, 4)
    category, place = pretraining.losses(outputs, (torch.empty(0), labels, placement))
    by_hand = [-outputs[i, label] + outputs[i, :200].exp().sum().log() for i, label in enumerate(labels)]
    assert category.item() == pytest.approx(sum(map(float, by_hand)) / 3, rel=1e-5)
    assert place.item() == pytest.approx(float((outputs[:, 200:] ** 2).sum()) / 3, rel=1e-5)


def test_it_learns_one_batch_by_heart(monkeypatch: pytest.MonkeyPatch) -> None:
    batch = pretraining.draw(categories(200, 0), 16, np.random.default_rng(0))
    monkeypatch.setattr(pretraining, "draw", lambda *_: batch)
    model, _ = pretraining.train(32, steps=80, learning_rate=3e-3, drop=0.0)
    with torch.no_grad():
        category, place = pretraining.losses(model(batch[0]), batch)
    assert category.item() < 2.5, "5.3 before; 2.8 would be the frequencies of the 16 labels"
    assert place.item() < 0.5 * batch[2].square().sum(-1).mean().item()


def test_files_and_card(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    pretraining.main(32, tmp_path)
    weights = load_file(tmp_path / "vit_fractal_32.safetensors")
    card = json.loads((tmp_path / "vit_fractal_32.json").read_text(encoding="utf-8"))
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    network = vit_fractal(32)
    network.load_state_dict(weights)
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["settings"]["images"] == 64 and "not ImageNet" in card["pre-training"]
    assert set(card["validation on drawn images"]) == {"loss", "category loss", "accuracy", "placement error"}
    assert "step 0: category" in capsys.readouterr().out


def test_the_seed_decides() -> None:
    first, second = (pretraining.train(32, steps=4)[0].state_dict() for _ in range(2))
    assert all(torch.equal(first[key], second[key]) for key in first)


def test_the_loop_by_hand_gives_the_same_bits() -> None:
    trained, result = pretraining.train(32, steps=3)
    torch.manual_seed(pretraining.SEED)
    kinds, rng = categories(pretraining.CATEGORIES, pretraining.SEED), np.random.default_rng(pretraining.SEED)
    model = vit_fractal(32, pretraining.OUTPUTS, pretraining.PATCH_DROP).train()
    for block in model.blocks:
        block.attn.fused_attn = False
    optimizer = torch.optim.AdamW(parameter_groups(model, pretraining.WEIGHT_DECAY), lr=pretraining.LEARNING_RATE)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, 3, pretraining.WARMUP))
    for _ in range(3):
        batch = pretraining.draw(kinds, pretraining.BATCH, rng)
        with torch.autocast("cpu", torch.bfloat16):
            category, place = pretraining.losses(model(batch[0]), batch)
        optimizer.zero_grad()
        (category + place).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), pretraining.CLIP)
        optimizer.step()
        schedule.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, trained.state_dict()[name]), name
    assert result.curves["train category"][-1] == (3.0, category.item())


def test_it_goes_on_after_a_stop(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drawn = pretraining.draw

    class StopError(RuntimeError):
        pass

    def stopping(kinds: Any, count: int, rng: np.random.Generator) -> Any:
        if len(list(tmp_path.rglob("step-*"))):
            raise StopError
        return drawn(kinds, count, rng)

    monkeypatch.setattr(pretraining, "draw", stopping)
    monkeypatch.setattr(pretraining, "SAVE_SECONDS", 0.0)
    with pytest.raises(StopError):
        pretraining.train(32, 3, folder=tmp_path)
    monkeypatch.setattr(pretraining, "draw", drawn)
    resumed, _ = pretraining.train(32, 3, folder=tmp_path)
    whole, _ = pretraining.train(32, 3)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name
