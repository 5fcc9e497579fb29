"""The products of packed weights in graphs: to the last bit those of eager code."""

from typing import Any

import pytest
import torch
import transformers
from torch import nn

from sparsebench.models.compression import QuantiseConfig, quantise
from sparsebench.models.compression.quantisation.grid import Grid
from sparsebench.models.compression.quantisation.packed.kernels.graph_products import packed_experts, packed_linear
from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels
from sparsebench.models.compression.quantisation.packed.kernels.products import dense_products, experts, linear
from sparsebench.models.moe import register_experts

from .oracles import GRIDS, drawn, packed


def parts(weight: Any) -> list[torch.Tensor]:
    return list(weight.parts().values())


@pytest.mark.parametrize("grid", GRIDS, ids=str)
def test_operators_are_what_torch_asks_of_them(library: PackedKernels, grid: Grid) -> None:
    weight, x, bias = packed(drawn(10, 256), grid), drawn(3, 256), drawn(10)
    given = (x, parts(weight), bias, grid.bits, grid.group_size, 256)
    torch.library.opcheck(packed_linear, given)
    expected = linear(x, weight.codes, bias)
    assert expected is not None and torch.equal(packed_linear(*given), expected)
    gate_up, down = packed(drawn(3, 256, 128), grid), packed(drawn(3, 128, 128), grid)
    tokens, index, share = drawn(5, 128), torch.tensor([[0, 2]] * 5), drawn(5, 2).abs()
    layer = (tokens, index, share, parts(gate_up), parts(down), grid.bits, grid.group_size, 128)
    torch.library.opcheck(packed_experts, layer)
    out = experts(tokens, index, share, gate_up.codes, down.codes)
    assert out is not None and torch.equal(packed_experts(*layer), out)


def quantised(bits: int) -> Any:
    """A stock mixture with our experts, all its large matrices packed."""
    sizes: dict[str, Any] = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "vocab_size": 50}
    config = transformers.MixtralConfig(
        **sizes, num_attention_heads=2, num_key_value_heads=2, num_local_experts=4, bos_token_id=1, eos_token_id=2
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.MixtralForCausalLM(config).eval()
    model.set_experts_implementation(register_experts())
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=bits, group_size=64), parts=("experts", "attention")))
    return model


def test_a_quantised_mixture_is_one_graph(library: PackedKernels) -> None:
    """Where no gradient is wanted with the kernels, else with dense weights."""
    torch._dynamo.reset()
    model, ids = quantised(8), torch.randint(3, 50, (2, 7), generator=torch.Generator().manual_seed(0))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    with torch.no_grad():
        found = compiled(ids, use_cache=False).logits
        assert torch.equal(found, model(ids, use_cache=False).logits)
    with dense_products():
        dense = model(ids, use_cache=False).logits
    assert not torch.equal(found, dense)
    with torch.enable_grad():
        torch.testing.assert_close(compiled(ids, use_cache=False).logits.detach(), dense, atol=1e-5, rtol=1e-5)


def test_a_layer_that_no_kernel_takes_is_compiled_with_the_dense_weight(library: PackedKernels) -> None:
    layer = nn.Linear(64, 8, bias=False)
    layer.weight = nn.Parameter(packed(drawn(8, 64), Grid(bits=3)), requires_grad=False)
    x = drawn(5, 64)
    torch.testing.assert_close(torch.compile(layer, backend="aot_eager", fullgraph=True)(x), layer(x))
