"""A packed model of some 200 MB in a fresh process: the memory that it takes is what is stated, and so is its file."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM

from sparsebench.models.compression.quantisation import Grid
from sparsebench.models.compression.quantisation.packed.packed_tensor import PackedTensor
from sparsebench.models.compression.quantisation.packed.packing import words
from sparsebench.models.counting import stored_bytes
from sparsebench.suites.llm.deployment.measurement import Seen, window_nats
from sparsebench.suites.llm.deployment.reloading import reload

DENSE_EXPERTS = 3
"""So many dense matrices of an expert may be left in the memory that the allocator keeps for later, beside 2 % of the
stated bytes: an expert is made dense while it computes."""
ROW = [(7 * place) % 500 for place in range(64)]
LARGE: dict[str, Any] = {"hidden_size": 1024, "intermediate_size": 2816, "num_hidden_layers": 3}
SMALL: dict[str, Any] = {"hidden_size": 128, "intermediate_size": 256, "num_hidden_layers": 1}
Reloaded = tuple[int, float, Seen, int]


def packed_experts(model: Any, grid: Grid) -> None:
    """Random codes in the place of the weights of all experts."""
    for layer in model.model.layers:
        experts = layer.mlp.experts
        for name in ("gate_up_proj", "down_proj"):
            *rows, columns = getattr(experts, name).shape
            codes = torch.randint(-(2**31), 2**31, (*rows, words(columns, grid.bits)), dtype=torch.int32)
            scale = torch.full((*rows, columns // 128), 1e-4, dtype=torch.bfloat16)
            packed = PackedTensor(codes, scale, None, grid=grid, columns=columns)
            setattr(experts, name, nn.Parameter(packed, requires_grad=False))


def packed_mixtral(shape: dict[str, Any]) -> Any:
    config = MixtralConfig(**shape, num_attention_heads=8, vocab_size=512, num_local_experts=8)
    model: Any = MixtralForCausalLM._from_config(config, dtype=torch.bfloat16).eval()
    packed_experts(model, Grid(bits=8, group_size=128))
    return model


@pytest.fixture(scope="module")
def reloaded() -> Reloaded:
    """Stated bytes, the loss here, what a fresh process saw, bytes on disk."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = packed_mixtral(LARGE)
    with torch.inference_mode():
        here = window_nats(model, torch.tensor(ROW))
    seen, disk = reload(model, [ROW], [32], 2, "cpu")
    return stored_bytes(model), here, seen, disk


def test_resident_memory_is_what_is_stated(reloaded: Reloaded) -> None:
    """Above that of the same process with next to nothing loaded: libraries and kernels take memory, too."""
    stated, _, seen, _ = reloaded
    assert stated > 200e6
    if seen.resident_bytes is None:
        pytest.skip("not Linux")
    nothing = packed_mixtral(SMALL)
    without = reload(nothing, [ROW], [32], 2, "cpu")[0].resident_bytes
    assert without is not None
    above = seen.resident_bytes - without
    expected = stated - stored_bytes(nothing)
    dense = 2 * LARGE["hidden_size"] * LARGE["intermediate_size"] * 2
    assert above == pytest.approx(expected, abs=0.02 * stated + DENSE_EXPERTS * dense)


def test_the_file_is_what_is_stated(reloaded: Reloaded) -> None:
    stated, _, _, disk = reloaded
    assert disk == pytest.approx(stated, rel=0.02)


def test_the_loss_is_the_same(reloaded: Reloaded) -> None:
    _, here, seen, _ = reloaded
    tokens = len(ROW) - 1
    assert seen.nats[0] / tokens == pytest.approx(here / tokens, abs=1e-5)
