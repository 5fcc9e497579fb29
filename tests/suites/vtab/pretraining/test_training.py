"""The pre-training: its steps, the patches that it leaves out, the one training loop, and going on after a stop."""

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.data.vision.splits import Images
from sparsebench.suites.training.optimizer import parameter_groups, warmup_cosine
from sparsebench.suites.vtab.own_vit import own_vit
from sparsebench.suites.vtab.pretraining import training
from sparsebench.suites.vtab.pretraining.objective import Objective
from sparsebench.suites.vtab.pretraining.recipes import RECIPES, SEED, Recipe
from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.stream import ImageStream
from sparsebench.suites.vtab.pretraining.training import (
    HIGHEST,
    LONGEST,
    SCALE,
    new_network,
    sources,
    train,
    wave_positions,
)

COUNTS = {"fractals": 4, "contours": 5, "photographs": 7}


def test_the_sources_of_a_recipe(recipe: Recipe, photographs: Images) -> None:
    assert [source.name for source in sources(recipe, photographs)] == ["fractals", "contours", "photographs"]
    assert [source.name for source in sources(RECIPES["vit_fractal_96"], None)] == ["fractals"]
    with pytest.raises(ValueError, match="wants photographs"):
        sources(recipe, None)


def test_a_network_before_its_first_step(recipe: Recipe) -> None:
    model = new_network(recipe, 11)
    assert torch.equal(model.pos_embed[0], wave_positions(4, 32)) and model.head.out_features == 11
    plain = new_network(replace(recipe, wave_positions=False), 11)
    torch.manual_seed(SEED)
    assert torch.equal(plain.pos_embed, own_vit(recipe.shape, 11, recipe.patch_drop).pos_embed)


def test_it_learns_one_batch_by_heart(
    recipe: Recipe, learnt: list[Source], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    batch = ImageStream(learnt, COUNTS, 0).draw()
    monkeypatch.setattr(ImageStream, "draw", lambda self: batch)
    steps = replace(recipe, steps=80, learning_rate=5e-3, patch_drop=0.0)
    model, _ = train(steps, learnt)
    with torch.no_grad():
        losses = Objective(learnt)(model, batch)
        before = Objective(learnt)(new_network(recipe, model.head.out_features).eval(), batch)
    assert all(losses[name] < 0.5 * before[name] for name in losses), losses
    assert "step 50: fractals category" in capsys.readouterr().out


def test_the_loop_by_hand_gives_the_same_bits(recipe: Recipe, learnt: list[Source]) -> None:
    trained, result = train(recipe, learnt)
    stream, objective = ImageStream(learnt, COUNTS, SEED), Objective(learnt)
    model = new_network(recipe, objective.outputs).train()
    optimizer = torch.optim.AdamW(parameter_groups(model, recipe.weight_decay), lr=recipe.learning_rate)
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, lambda step: warmup_cosine(step, 4, recipe.warmup))
    losses: dict[str, Any] = {}
    for step in range(4):
        if step == 2:  # half of the steps see whole images
            model.patch_drop.prob = 0.0
        batch = stream.draw()
        with torch.autocast("cpu", torch.bfloat16):
            losses = objective(model, batch)
        optimizer.zero_grad()
        sum(losses.values(), start=torch.zeros(())).backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), recipe.clip)
        optimizer.step()
        schedule.step()
    for name, weight in model.state_dict().items():
        assert torch.equal(weight, trained.state_dict()[name]), name
    assert result.curves["train contours category"][-1] == (4.0, losses["contours category"].item())


@pytest.mark.parametrize("stop", [1, 3])
def test_it_goes_on_after_a_stop(
    recipe: Recipe, learnt: list[Source], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, stop: int
) -> None:
    """Stopped before and after the step from which on images are whole."""
    drawn = ImageStream.draw

    class StopError(RuntimeError):
        pass

    def stopping(stream: ImageStream) -> Any:
        if stream.batches == stop:
            raise StopError
        return drawn(stream)

    monkeypatch.setattr(ImageStream, "draw", stopping)
    monkeypatch.setattr(training, "SAVE_SECONDS", 0.0)
    with pytest.raises(StopError):
        train(recipe, learnt, tmp_path)
    assert list(tmp_path.rglob("step-*"))
    monkeypatch.setattr(ImageStream, "draw", drawn)
    resumed, _ = train(recipe, learnt, tmp_path)
    whole, _ = train(recipe, learnt)
    for name, weight in whole.state_dict().items():
        assert torch.equal(weight, resumed.state_dict()[name]), name


def test_values_by_hand() -> None:
    positions = wave_positions(3, 8)  # two frequencies for each axis
    assert positions.shape == (9, 8)
    for row in range(3):
        for column in range(3):
            by_hand = []
            for place in (row, column):
                angles = [place * HIGHEST, place * HIGHEST / LONGEST]
                by_hand += [math.sin(angle) for angle in angles] + [math.cos(angle) for angle in angles]
            expected = SCALE * torch.tensor(by_hand)
            torch.testing.assert_close(positions[3 * row + column], expected)


def test_every_position_has_its_own() -> None:
    distances = torch.cdist(wave_positions(8, 96), wave_positions(8, 96))
    distances.fill_diagonal_(1)
    assert distances.min() > 0.5


def test_other_widths() -> None:
    with pytest.raises(ValueError, match="width=98 must be a multiple of 4"):
        wave_positions(8, 98)
