"""Noise taken off: nothing is drawn in training, evaluation stays, the configuration says so, and it can be saved."""

from pathlib import Path
from typing import Any

import torch
from transformers import AutoModelForCausalLM, LlamaConfig, LlamaForCausalLM, MixtralConfig, MixtralForCausalLM

from sparsebench.models.moe import MoEConfig, MoEFFN, convert
from sparsebench.models.moe.routing.noise import remove_noise

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
