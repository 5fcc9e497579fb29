"""Mixtures whose experts and routers PEFT adapts by their parameters are watched and balanced."""

from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import peft
import pytest
import torch
from torch import nn

from sparsebench.models.moe import convert, routing_probe
from sparsebench.models.moe.hf_trainer.balance_callback import BalanceLossCallback
from sparsebench.models.moe.hf_trainer.health_callback import RouterHealthCallback
from sparsebench.models.moe.hf_trainer.peft_parameters import parameters_unwrapped

from .test_balance_callback import CONFIG, STEPS, logged, trainer

Build = Callable[[str], Any]
TARGETS: dict[str, dict[str, Any]] = {
    "stock experts": {"target_parameters": ["mlp.experts.gate_up_proj", "mlp.experts.down_proj"]},
    "stock router": {"target_parameters": ["mlp.gate.weight"]},
    "stock, all linear layers": {"target_modules": "all-linear"},
    "converted experts": {"target_modules": [], "target_parameters": ["mlp.experts.gate_up", "mlp.experts.down"]},
}


def adapted(case: str, build: Build) -> Any:
    model = convert(build("llama"), CONFIG) if case.startswith("converted") else build("mixtral")
    return peft.get_peft_model(model, peft.LoraConfig(r=2, init_lora_weights=False, **TARGETS[case]))


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning")  # of PEFT
@pytest.mark.parametrize("case", TARGETS)
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
    before = [(name, id(module)) for name, module in model.named_modules()]
    tokens = example(model.get_base_model())
    with ExitStack() as stack:
        with parameters_unwrapped(model):
            assert len(list(model.modules())) < len(before)
            probe = stack.enter_context(routing_probe(model))
        assert [(name, id(module)) for name, module in model.named_modules()] == before
        model(input_ids=tokens)
    merged = model.merge_and_unload()
    with routing_probe(merged) as expected:
        merged(input_ids=tokens)
    assert len(probe.layers) == len(expected.layers) == 2
    for name, layer in expected.layers.items():
        assert torch.equal(probe.layers[name].load, layer.load)


@pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::UserWarning", "ignore::RuntimeWarning")
def test_they_are_back_after_an_error(build: Build) -> None:
    model = adapted("stock router", build)
    before = [(name, id(module)) for name, module in model.named_modules()]
    with pytest.raises(RuntimeError, match="while it is looked at"), parameters_unwrapped(model):
        raise RuntimeError("while it is looked at")
    assert [(name, id(module)) for name, module in model.named_modules()] == before
    plain = nn.Sequential(nn.Linear(2, 2))
    with parameters_unwrapped(plain):
        assert isinstance(plain[0], nn.Linear)
