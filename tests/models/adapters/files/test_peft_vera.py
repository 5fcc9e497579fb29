"""VeRA of PEFT: equal outputs and gradients, files both ways, projections in the file or drawn again."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.models.adapters import attach, load_peft
from sparsebench.models.adapters.kinds.vera import VeRAConfig
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import noise

peft = pytest.importorskip("peft")
from .peft_tools import gradients, logits, read, theirs, written  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize("saved", [True, False])
@pytest.mark.parametrize("family", ["llama", "bert"])
def test_their_file_gives_their_outputs_and_gradients(
    family: str, saved: bool, build: Build, example: Callable, tmp_path: Path
) -> None:
    targets = ["q_proj", "down_proj"] if family == "llama" else ["query", "intermediate.dense"]
    config = peft.VeraConfig(r=3, target_modules=targets, save_projection=saved, projection_prng_key=7)
    pair = read(lambda: build(family), config, tmp_path)
    batch = example(pair.ours)
    assert ("base_model.vera_A" in load_file(tmp_path / "adapter_model.safetensors")) == saved
    agree(logits(pair.ours, batch), logits(pair.theirs, batch), "logits")
    ours = gradients(pair.ours, batch, r"\.[bd]$")
    assert len(ours) == 8
    for mine, other in zip(ours, gradients(pair.theirs, batch, "vera_lambda"), strict=True):
        agree(mine, other, "gradients")
    again = written(pair.adapters, build(family), tmp_path / "again")
    agree(logits(again, batch), logits(pair.theirs, batch), "logits")


def test_ours_is_read_by_peft(build: Build, example: Callable, tmp_path: Path) -> None:
    model = build("llama")
    adapters = attach(model, VeRAConfig(modules=("k_proj", "gate_proj"), r=4, seed=3))
    noise(adapters.parameters())
    again = written(adapters, build("llama"), tmp_path)
    agree(logits(again, example(model)), logits(model, example(model)), "logits")


def test_files_that_do_not_fit(build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), peft.VeraConfig(r=3, target_modules=["q_proj"]), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    whole = load_file(file)
    save_file(whole | {"base_model.vera_A": torch.ones(3, 5)}, file)
    with pytest.raises(ModelError, match=r"projections.A has shape \(3, 32\), not \(3, 5\)"):
        load_peft(build("llama"), tmp_path)
    save_file({key: value for key, value in whole.items() if key != "base_model.vera_B"}, file)
    with pytest.raises(ModelError, match="says that it holds vera_A and vera_B"):
        load_peft(build("llama"), tmp_path)
    save_file(whole, file)
    config = tmp_path / "adapter_config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"bias": "all"}))
    with pytest.raises(ModelError, match="bias='all' cannot be loaded"):
        load_peft(build("llama"), tmp_path)
