"""The packaged model: float32, as its configuration says, and refused if its file is another."""

import json
import re
from pathlib import Path

import pytest
import torch

from sparsebench.models.graphsgpt import GraphsGPTPipeline
from sparsebench.suites.molecules import graphsgpt_small
from sparsebench.suites.molecules.graphsgpt_small import FOLDER, load_small, small_config


def test_it_is_the_model_of_its_configuration() -> None:
    model = load_small()
    assert model.config.to_dict() == small_config().to_dict() and not model.training
    assert {weight.dtype for weight in model.parameters()} == {torch.float32}
    assert all(torch.isfinite(weight).all() for weight in model.parameters())
    assert 2.0e6 < sum(weight.numel() for weight in model.parameters()) < 2.2e6


def test_what_training_took_is_what_the_card_says() -> None:
    card = json.loads((FOLDER / "card.json").read_text(encoding="utf-8"))
    stages = [card, card["went on from"]]
    assert load_small().core_seconds == sum(stage["seconds"] * stage["processes"] for stage in stages)


def test_the_molecules_of_the_guide_come_back() -> None:
    guide = (Path(__file__).parents[3] / "models" / "graphsgpt" / "README.md").read_text(encoding="utf-8")
    (molecules,) = set(re.findall(r'interpolate\("(.+?)", "(.+?)"', guide))
    pipe = GraphsGPTPipeline(load_small())
    assert [made.smiles for made in pipe.decode(pipe.encode(molecules).words)] == list(molecules)


def test_other_weights_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    content = bytearray((FOLDER / "model.safetensors").read_bytes())
    content[-1] ^= 1
    (tmp_path / "model.safetensors").write_bytes(content)
    monkeypatch.setattr(graphsgpt_small, "FOLDER", tmp_path)
    with pytest.raises(ValueError, match="not those that this version was written for"):
        load_small()
