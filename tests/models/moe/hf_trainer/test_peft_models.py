"""Mixtures in models of PEFT are watched and balanced, whatever PEFT adapts in them: experts and routers too."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import peft
import pytest
import torch

from sparsebench.models.moe import convert, routing_probe
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback

from .test_balance_callback import CONFIG, STEPS, logged, trainer

Build = Callable[[str], Any]
TARGETS: dict[str, dict[str, Any]] = {
    "stock experts": {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
    "stock router": {"target_parameters": ["mlp.gate.weight"]},
    "stock router, trained whole": {"target_modules": ["q_proj"], "modules_to_save": ["gate"]},
    "stock, all linear layers": {"target_modules": "all-linear"},
    "converted experts": {"target_modules": [], "target_parameters": ["mlp.experts.gate_up", "mlp.experts.down"]},
}


def adapted(case: str, build: Build) -> Any:
    model = convert(build("llama"), CONFIG) if case.startswith("converted") else build("mixtral")
    return peft.get_peft_model(model, peft.LoraConfig(r=2, init_lora_weights=False, **TARGETS[case]))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning")  # of PEFT
@pytest.mark.parametrize("case", ["stock experts", "stock, all linear layers", "converted experts"])
def test_the_callbacks_see_within(case: str, build: Build, tmp_path: Path) -> None:
    coefficient = None if case.startswith("converted") else 0.5
    done = trainer(adapted(case, build), tmp_path, [BalanceLossCallback(coefficient)])
    done.add_callback(RouterHealthCallback(done))
    done.train()
    assert len(logged(done, "balance_loss")) == len(logged(done, "router_cv2")) == STEPS
    assert min(logged(done, "balance_loss")) > 0


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning")
@pytest.mark.parametrize("case", TARGETS)
def test_what_is_seen_is_what_the_merged_model_does(case: str, build: Build, example: Callable) -> None:
    model = adapted(case, build).eval()
    tokens = example(model.get_base_model())
    with routing_probe(model) as probe:
        watched = model(input_ids=tokens).logits
    # With logits wanted, a router of ours takes another way to its choice, which rounds differently.
    torch.testing.assert_close(watched, model(input_ids=tokens).logits, atol=1e-5, rtol=1e-4)
    merged = model.merge_and_unload()
    with routing_probe(merged) as expected:
        merged(input_ids=tokens)
    assert len(probe.layers) == len(expected.layers) == 2
    for name, layer in expected.layers.items():
        assert torch.equal(probe.layers[name].load, layer.load)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning")
def test_tokens_of_a_prefix_are_not_counted(build: Build, example: Callable) -> None:
    model = build("mixtral")
    tokens = example(model)
    mask = torch.ones_like(tokens)
    mask[1, :2] = 0
    prefix = peft.PrefixTuningConfig(task_type="CAUSAL_LM", num_virtual_tokens=3)
    wrapped: Any = peft.get_peft_model(model, prefix).eval()
    with routing_probe(wrapped) as probe:
        wrapped(input_ids=tokens, attention_mask=mask)
    assert {layer.tokens for layer in probe.layers.values()} == {int(mask.sum())}
