"""Noise weakened, and taken off: none is drawn in training, evaluation stays, the model says so and can be saved."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, MoEFFN, convert
from sparsebench.models.moe.routing.noise import remove_noise, scale_noise

SIZES: dict[str, Any] = {"vocab_size": 32, "hidden_size": 16, "intermediate_size": 32, "num_hidden_layers": 2}


def noisy() -> Any:
    torch.manual_seed(0)
    model = LlamaForCausalLM(LlamaConfig(**SIZES, num_attention_heads=4))
    return convert(model, MoEConfig(num_experts=4, top_k=2, noise="shazeer", balance="cv2", router_init="random"))


def test_training_draws_no_number_and_evaluation_stays(tmp_path: Path) -> None:
    model = noisy()
    ids = torch.arange(12)[None]
    before = model.eval()(ids).logits
    assert remove_noise(model) == 2
    assert torch.equal(model.eval()(ids).logits, before)
    state = torch.get_rng_state()
    model.train()(ids)
    assert torch.equal(torch.get_rng_state(), state)
    layers = [module for module in model.modules() if isinstance(module, MoEFFN)]
    assert all(layer.config.noise == "none" and layer.config.balance == "cv2" for layer in layers)
    assert not any(name.endswith("noise") for name in model.state_dict())
    model.save_pretrained(tmp_path)
    again = AutoModelForCausalLM.from_pretrained(tmp_path)
    assert torch.equal(again.eval()(ids).logits, before)


def test_nothing_is_found_where_there_is_none() -> None:
    model = noisy()
    remove_noise(model)
    assert remove_noise(model) == 0
    config = MixtralConfig(
        **SIZES, num_attention_heads=4, num_key_value_heads=4, num_local_experts=2, num_experts_per_tok=1
    )
    assert remove_noise(MixtralForCausalLM(config)) == 0


def test_a_factor_multiplies_the_noise_and_0_draws_none() -> None:
    model = noisy().train()
    x_TD = torch.randn(5, 16, generator=torch.Generator().manual_seed(0))
    router = model.model.layers[0].mlp.router
    drawn = []
    for factor in (1.0, 0.25, 0.0):
        assert scale_noise(model, factor) == 2
        torch.manual_seed(3)
        drawn.append(router(x_TD))
    full, quarter, none = drawn
    assert torch.equal(quarter.std, full.std * 0.25)
    torch.testing.assert_close(quarter.noisy - quarter.logits, (full.noisy - full.logits) / 4)
    assert none.noisy is None and none.std is None
    state = torch.get_rng_state()
    model(torch.arange(12)[None])
    assert torch.equal(torch.get_rng_state(), state)
    with pytest.raises(ModelError, match="must be 0 or more, not -1"):
        scale_noise(model, -1)
