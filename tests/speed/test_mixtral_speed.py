"""SmolLM2 as a stock Mixtral: decoding and prefill with our experts beside those of transformers. Two threads.

The floor is the same model whose experts do nothing: no implementation of them can be faster.
"""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForCausalLM
from transformers.integrations.moe import ALL_EXPERTS_FUNCTIONS

from sparsebench.data.weights import smollm2
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.models.moe.experts.interface import NAME, register_experts

from .groups import Timed, Variant, of_model
from .rounds import WALL
from .scope import LONG

pytestmark = [pytest.mark.data, LONG]
ROLES = {NAME: "ours", "grouped_mm": "peer", "eager": "peer", "no": "floor"}
PROMPT, NEW = 512, 32


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """SmolLM2's FFNs cut into 8 experts of which 2 work on a token, written as a stock checkpoint."""
    model = AutoModelForCausalLM.from_pretrained(smollm2(), dtype=torch.float32)
    path = tmp_path_factory.mktemp("mixtral") / "checkpoint"
    assert export(convert(model, MoEConfig(num_experts=8, top_k=2)), path) == "MixtralForCausalLM"
    return path


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def model(request: pytest.FixtureRequest, folder: Path) -> nn.Module:
    register_experts()
    ALL_EXPERTS_FUNCTIONS.register("no", lambda module, hidden_states, *routing: torch.zeros_like(hidden_states))
    return AutoModelForCausalLM.from_pretrained(folder, dtype=request.param).eval()


def prompt(length: int) -> Tensor:
    return torch.randint(100, 40_000, (1, length), generator=torch.Generator().manual_seed(0))


def answer(model: nn.Module, ids: Tensor, new: int) -> Tensor:
    return model.generate(ids, max_new_tokens=new, min_new_tokens=new, do_sample=False, pad_token_id=0)


def check(model: nn.Module, implementation: str, ids: Tensor) -> None:
    """The same logits to 1e-5, and the same words, as with the plain loop of transformers."""
    logits, words = {}, {}
    for name in ("eager", implementation):
        model.set_experts_implementation(name)
        logits[name], words[name] = model(ids).logits, answer(model, prompt(8), NEW)
    error = (logits[implementation] - logits["eager"]).norm() / logits["eager"].norm()
    assert error < 1e-5
    assert torch.equal(words[implementation], words["eager"])


@pytest.mark.parametrize("work", ["prefill", "decode"])
@pytest.mark.parametrize("implementation", ROLES)
@torch.no_grad()
def test_mixtral(implementation: str, work: str, model: Any, compare: Callable[..., Timed]) -> None:
    """One model, which gets the experts of a variant before its turn."""
    ids = prompt(PROMPT if work == "prefill" else 8)
    dtype = next(model.parameters()).dtype

    def variant(name: str) -> Variant:
        # Rounding to bfloat16 sends some tokens elsewhere, in any two implementations.
        if dtype == torch.float32 and name != "no":
            check(model, name, ids)
        model.set_experts_implementation(name)
        call = (lambda: model(ids)) if work == "prefill" else (lambda: answer(model, ids, NEW))
        found = of_model(call, ROLES[name], model, ids)
        return replace(found, before=lambda: model.set_experts_implementation(name))

    what = f"prefill of {PROMPT} tokens" if work == "prefill" else f"{NEW} new tokens, batch 1"
    group = f"SmolLM2 as Mixtral, 8 experts, top-2, {what}, {str(dtype).removeprefix('torch.')}"
    compare(implementation, ROLES, variant, group=group, clock=WALL, count=2, variant=f"{implementation} experts")
