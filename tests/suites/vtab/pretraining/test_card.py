"""The files that a pre-training writes."""

import json
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from sparsebench.suites.vtab.own_vit import own_vit
from sparsebench.suites.vtab.pretraining import card as module
from sparsebench.suites.vtab.pretraining.card import describe_sources, validate, write_model
from sparsebench.suites.vtab.pretraining.objective import Objective
from sparsebench.suites.vtab.pretraining.recipes import Recipe
from sparsebench.suites.vtab.pretraining.sources import Source
from sparsebench.suites.vtab.pretraining.training import new_network


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "VALIDATION", 16)


def test_files_and_card(recipe: Recipe, learnt: list[Source], tmp_path: Path) -> None:
    model = new_network(recipe, Objective(learnt).outputs).eval()
    card = write_model("small", model, recipe, learnt, learnt, 7.3, tmp_path)
    assert json.loads((tmp_path / "small.json").read_text(encoding="utf-8")) == card
    weights = load_file(tmp_path / "small.safetensors")
    assert {tensor.dtype for tensor in weights.values()} == {torch.float16}
    network = own_vit(recipe.shape)
    network.load_state_dict(weights)
    assert card["parameters"] == sum(p.numel() for p in network.parameters())
    assert card["model"] == "timm VisionTransformer, 24 pixels, patch 6, depth 2, width 32, without head"
    assert card["settings"]["images"] == 16 * 4 and card["settings"]["seed"] == 0
    assert card["sources"][0] == "6 fractals, seed 0" and card["seconds on one thread"] == 7
    assert set(card["validation"]) == {"fractals", "contours", "photographs"}
    assert set(card["validation"]["contours"]) == {"images", "accuracy", "category loss", "placement error"}
    assert set(card["validation"]["photographs"]) == {"images", "accuracy", "category loss"}
    assert card["validation"] == validate(model, learnt), "measured with the weights of the file"
    for key, value in weights.items():
        assert torch.equal(model.state_dict()[key], value.float())


def test_what_it_says_of_the_sources(learnt: list[Source]) -> None:
    assert describe_sources(learnt[:1]) == (
        "procedural: fractals and their placement; not ImageNet, no photograph, no data set"
    )
    text = describe_sources(learnt)
    assert "photographs of CIFAR-10" in text and "contours and their placement" in text and "not ImageNet" in text
