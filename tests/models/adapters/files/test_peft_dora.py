"""DoRA of PEFT: equal outputs and gradients, files both ways."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.models.adapters import attach, load_peft
from sparsebench.models.adapters.kinds.dora import DoRAConfig
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import noise

peft = pytest.importorskip("peft")
from .peft_tools import gradients, logits, read, theirs, written  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], nn.Module]
CONFIGS = {
    "llama": {"r": 3, "target_modules": ["q_proj", "down_proj"], "rank_pattern": {"down_proj": 2}},
    "bert": {"r": 2, "lora_alpha": 5, "use_rslora": True, "target_modules": ["query", "output.dense"]},
    "bert with its head": {"r": 2, "target_modules": ["value"], "task_type": "SEQ_CLS"},
}


@pytest.mark.parametrize("case", CONFIGS)
def test_their_file_gives_their_outputs_and_gradients(
    case: str, build: Build, example: Callable, tmp_path: Path
) -> None:
    """Bit for bit: the same operations in the same order."""
    family = case.split()[0]
    config = peft.LoraConfig(use_dora=True, **CONFIGS[case])
    pair = read(lambda: build(family), config, tmp_path)
    batch = example(pair.ours)
    agree(logits(pair.ours, batch), logits(pair.theirs, batch), "logits")
    ours = gradients(pair.ours, batch, "lora_|magnitude")
    assert len(ours) >= 6
    for mine, other in zip(ours, gradients(pair.theirs, batch, "lora_"), strict=True):
        agree(mine, other, "gradients")
    assert bool(pair.adapters.heads) == ("head" in case)
    again = written(pair.adapters, build(family), tmp_path / "again")
    agree(logits(again, batch), logits(pair.theirs, batch), "logits")


def test_ours_is_read_by_peft(build: Build, example: Callable, tmp_path: Path) -> None:
    model = build("llama")
    adapters = attach(model, DoRAConfig(modules=(r"layers\.1\.mlp\.\w+_proj",), r=2, alpha=3, dropout=0.2))
    noise(adapters.parameters())
    again = written(adapters, build("llama"), tmp_path)
    agree(logits(again, example(model)), logits(model, example(model)), "logits")


def test_files_that_do_not_fit(build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), peft.LoraConfig(use_dora=True, r=2, target_modules=["q_proj"]), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    whole = load_file(file)
    key = next(key for key in whole if key.endswith("lora_magnitude_vector"))
    model = build("llama")
    before = [name for name, _ in model.named_modules()]
    for change, message in (({key: torch.ones(3)}, "does not fit this LlamaForCausalLM"), ({}, "is missing")):
        save_file({name: value for name, value in whole.items() if name != key} | change, file)
        with pytest.raises(ModelError, match=message):
            load_peft(model, tmp_path)
    save_file(whole | {"base_model.model.model.norm.weight": torch.ones(32)}, file)
    with pytest.raises(ModelError, match=r"holds model.norm: in addition to DoRA"):
        load_peft(model, tmp_path)
    assert [name for name, _ in model.named_modules()] == before
