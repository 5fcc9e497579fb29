"""IA3 of PEFT: equal outputs and gradients, files both ways."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

from sparsebench.models.adapters import attach, load_peft
from sparsebench.models.adapters.kinds.ia3 import IA3Config
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ..conftest import noise

peft = pytest.importorskip("peft")
from .peft_tools import gpt2, gradients, logits, read, theirs, written  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], nn.Module]
CONFIGS = {
    "llama": {"target_modules": ["k_proj", "v_proj", "down_proj"], "feedforward_modules": ["down_proj"]},
    "gpt2": {"target_modules": ["c_attn", "mlp.c_proj"], "feedforward_modules": ["mlp.c_proj"], "fan_in_fan_out": True},
    "bert": {"target_modules": ["key"], "feedforward_modules": [], "task_type": "SEQ_CLS"},
}


@pytest.mark.parametrize("family", CONFIGS)
def test_their_file_gives_their_outputs_and_gradients(
    family: str, build: Build, example: Callable, tmp_path: Path
) -> None:
    def model() -> nn.Module:
        return gpt2() if family == "gpt2" else build(family)

    pair = read(model, peft.IA3Config(**CONFIGS[family]), tmp_path)
    batch = example(pair.ours)
    agree(logits(pair.ours, batch), logits(pair.theirs, batch), "logits")
    ours = gradients(pair.ours, batch, "factor")
    assert ours
    for mine, other in zip(ours, gradients(pair.theirs, batch, "ia3_l"), strict=True):
        agree(mine, other, "gradients")
    again = written(pair.adapters, model(), tmp_path / "again")
    agree(logits(again, batch), logits(pair.theirs, batch), "logits")


def test_ours_is_read_by_peft(build: Build, example: Callable, tmp_path: Path) -> None:
    model = build("llama")
    adapters = attach(model, IA3Config(modules=("q_proj",), inputs=(r"1\.mlp\.down_proj",)))
    noise(adapters.parameters())
    again = written(adapters, build("llama"), tmp_path)
    agree(logits(again, example(model)), logits(model, example(model)), "logits")


def test_files_that_do_not_fit(build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), peft.IA3Config(**CONFIGS["llama"]), tmp_path)
    file = tmp_path / "adapter_model.safetensors"
    whole = load_file(file)
    key = next(iter(whole))
    for value, message in (
        (torch.ones(1, 3), "does not fit this LlamaForCausalLM"),
        (torch.ones(1, 3, 1, 1), "only linear layers have IA3"),
    ):
        save_file(whole | {key: value}, file)
        with pytest.raises(ModelError, match=message):
            load_peft(build("llama"), tmp_path)
    save_file(whole, file)
    with pytest.raises(ModelError, match="no module of this Bert"):
        load_peft(build("bert"), tmp_path)
