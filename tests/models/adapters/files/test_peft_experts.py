"""LoRA on fused experts, compared with PEFT's `target_parameters`, through files in both directions."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import LoRAConfig, attach, load_peft, save_peft
from sparsebench.models.adapters.files.peft_experts import fused_stacks, split_fused
from sparsebench.models.anatomy import describe
from sparsebench.models.errors import ModelError

from ...agreement import agree
from ...stock_mixtures import stock
from ..conftest import NEAR, noise
from ..kinds.test_expert_lora import logits

peft = pytest.importorskip("peft")
pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], Any]


def theirs(model: nn.Module, **options: Any) -> nn.Module:
    wrapped = peft.get_peft_model(model, peft.LoraConfig(r=4, lora_alpha=6, **options)).eval()
    noise(parameter for parameter in wrapped.parameters() if parameter.requires_grad)
    return wrapped


@pytest.mark.parametrize("name", ["mixtral", "gpt_oss"])
def test_a_file_of_peft_with_target_parameters_computes_what_peft_does(name: str, build: Build, tmp_path) -> None:
    def model() -> nn.Module:
        if name == "mixtral":
            return build("mixtral")
        torch.manual_seed(0)
        return stock("GptOss", head_dim=8, num_local_experts=4, layer_types=["full_attention"] * 2).eval()

    parameters = ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]
    wrapped = theirs(model(), target_modules=["q_proj"], target_parameters=parameters)
    wrapped.save_pretrained(tmp_path)
    ours = model()
    adapters = load_peft(ours, tmp_path)
    agree(logits(ours), logits(wrapped), "logits", within=NEAR)
    assert adapters.count() == sum(p.numel() for p in wrapped.parameters() if p.requires_grad)


def test_one_fused_parameter_of_peft_alone(build: Build, tmp_path) -> None:
    wrapped = theirs(build("mixtral"), target_modules=[], target_parameters=["mlp.experts.down_proj"])
    wrapped.save_pretrained(tmp_path)
    ours = build("mixtral")
    load_peft(ours, tmp_path)
    agree(logits(ours), logits(wrapped), "logits", within=NEAR)


@pytest.mark.parametrize("targets", [("linears",), ("experts",), ("q", "down"), ("gate", "up")])
def test_peft_loads_what_we_save(targets: tuple[str, ...], build: Build, tmp_path: Path) -> None:
    ours = build("mixtral")
    adapters = attach(ours, LoRAConfig(r=3, alpha=5, targets=targets, train_head=False))
    noise(adapters.parameters())
    save_peft(adapters, tmp_path)
    loaded = peft.PeftModel.from_pretrained(build("mixtral"), tmp_path).eval()
    agree(logits(loaded), logits(ours), "logits", within=NEAR)


def test_factors_that_fit_no_parameter_are_refused(build: Build) -> None:
    anatomy = describe(build("mixtral"))
    (path, stack), *_ = fused_stacks(anatomy).items()
    assert path == "model.layers.0.mlp.experts" and stack.names == ("gate_up_proj", "down_proj")
    down = {"A": torch.zeros(8, 48), "B": torch.zeros(32, 8)}
    found, rest = split_fused(anatomy, {path: down, "model.layers.0.self_attn.q_proj": {}})
    assert [(factors.name, factors.r) for factors in found] == [("down_proj", 2)]
    assert list(rest) == ["model.layers.0.self_attn.q_proj"]
    with pytest.raises(ModelError, match="fit none of its fused parameters"):
        split_fused(anatomy, {path: {"A": torch.zeros(8, 47), "B": torch.zeros(32, 8)}})
    with pytest.raises(ModelError, match="fit none"):
        split_fused(anatomy, {path: {"A": torch.zeros(8, 48), "B": torch.zeros(96, 8)}, f"{path}.base_layer": down})
