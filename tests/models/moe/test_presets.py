from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.moe import PRESETS, MoEFFN, active_params, aux_loss, convert, preset, to_dense

Build = Callable[[str], nn.Module]


@pytest.mark.parametrize(
    ("name", "fields"),
    [
        ("llama_moe_v1_4of16", {"num_experts": 16, "top_k": 4, "num_shared": 0, "scale_value": 4.0}),
        ("llama_moe_v1_2of8", {"num_experts": 8, "top_k": 2, "num_shared": 0, "scale_value": 4.0}),
        ("llama_moe_v1_2of16", {"num_experts": 16, "top_k": 2, "num_shared": 0, "scale_value": 8.0}),
        ("v1_residual_14p2", {"num_routed": 14, "num_shared": 2, "top_k": 2, "split": "residual"}),
        ("llama_moe_v2_8top2", {"num_experts": 8, "top_k": 2, "scale_value": 4.0, "split": "sequential"}),
        ("v2_1p7top1", {"num_routed": 7, "num_shared": 1, "top_k": 1, "scale_value": 1.0, "clusters": "tokens"}),
        ("v2_attn_7of8", {"num_experts": 8, "top_k": 2}),
    ],
)
def test_published_settings(name: str, fields: dict) -> None:
    for faithful in (False, True):
        config = preset(name, faithful=faithful)
        assert {field: getattr(config, field) for field in fields} == fields
        assert config.faithful == faithful


def test_attention_preset() -> None:
    fixed, released = preset("v2_attn_7of8").attn, preset("v2_attn_7of8", faithful=True).attn
    assert fixed is not None and released is not None
    assert (fixed.num_experts, fixed.top_k, fixed.mode, fixed.scale) == (8, 7, "drop_kv", "exact")
    assert released.scale == 4.0 and released.faithful


def test_changes_and_unknown_names() -> None:
    assert preset("llama_moe_v1_2of8", seed=5, scale="exact").scale_value == 2.0
    with pytest.raises(ValueError, match="did you mean 'v2_1p7top1'"):
        preset("v2_1p7top")
    with pytest.raises(ValueError, match="top_k=9"):
        preset("llama_moe_v1_2of8", top_k=9)


def llama(name: str) -> LlamaForCausalLM:
    """LLaMA-2-7B or Llama-3-8B without memory."""
    sizes = {
        "llama2": {"intermediate_size": 11008, "vocab_size": 32000, "num_key_value_heads": 32},
        "llama3": {"intermediate_size": 14336, "vocab_size": 128256, "num_key_value_heads": 8},
    }
    config = LlamaConfig(hidden_size=4096, num_hidden_layers=32, num_attention_heads=32, **sizes[name])
    with torch.device("meta"):
        return LlamaForCausalLM(config)


@pytest.mark.parametrize(
    ("name", "base", "billions"),
    [
        ("llama_moe_v1_4of16", "llama2", 3.49),
        ("llama_moe_v1_2of16", "llama2", 2.95),
        ("llama_moe_v1_2of8", "llama2", 3.49),
        ("llama_moe_v2_8top2", "llama3", 3.80),
    ],
)
def test_active_parameters_of_the_published_models(name: str, base: str, billions: float) -> None:
    model = convert(llama(base), preset(name, noise="none"))
    assert active_params(model) / 1e9 == pytest.approx(billions, abs=0.006)


@pytest.fixture
def batches() -> list[Tensor]:
    return list(torch.randint(3, 64, (16, 12), generator=torch.Generator().manual_seed(0)).split(2))


@pytest.mark.parametrize("name", sorted(PRESETS))
@pytest.mark.parametrize("faithful", [False, True])
def test_presets_convert_train_and_go_back(name: str, faithful: bool, build: Build, batches: list[Tensor]) -> None:
    model = build("llama")
    before = {key: value.clone() for key, value in model.state_dict().items()}
    config = preset(name, faithful=faithful, attn=None)
    convert(model, config, batches).train()
    loss = model(batches[0], labels=batches[0]).loss + aux_loss(model)
    loss.backward()
    assert all(parameter.grad is not None and parameter.grad.isfinite().all() for parameter in model.parameters())
    assert (float(aux_loss(model).detach()) > 0) == (config.balance != "none")
    after = to_dense(model).state_dict()
    assert all(torch.equal(before[key], after[key]) for key in before)


@pytest.mark.parametrize("faithful", [False, True])
def test_the_released_1p7_router_never_learns(faithful: bool, build: Build, batches: list[Tensor]) -> None:
    model = build("llama").double()
    convert(model, preset("v2_1p7top1", faithful=faithful), batches).train()
    (model(batches[0], labels=batches[0]).loss + aux_loss(model)).backward()
    sizes = [float(m.router.weight.grad.norm()) for m in model.modules() if isinstance(m, MoEFFN)]
    assert max(sizes) < 1e-15 if faithful else min(sizes) > 1e-6
    assert float(aux_loss(model).detach()) == pytest.approx(2 * 0.01 * 7) or not faithful
