"""Our MoE layer beside the dense FFN it came from, one of its active size, and the stock experts of transformers."""

import time
from collections.abc import Callable

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM, MixtralConfig
from transformers.models.llama.modeling_llama import LlamaMLP
from transformers.models.mixtral.modeling_mixtral import MixtralSparseMoeBlock

from sparsebench.models.anatomy import describe
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.convert import convert

# One thread and its CPU time: other load on the machine moves this far less than the wall clock.
pytestmark = pytest.mark.benchmark(timer=time.process_time)
WIDTH, HIDDEN, EXPERTS, TOP_K = 1024, 2816, 8, 2
SHAPE = {"width": WIDTH, "hidden": HIDDEN // EXPERTS, "experts": EXPERTS, "top_k": TOP_K}


class HFBlock(nn.Module):
    """The stock block, called with (tokens, width)."""

    def __init__(self, implementation: str) -> None:
        super().__init__()
        config = MixtralConfig(
            hidden_size=WIDTH,
            intermediate_size=HIDDEN // EXPERTS,
            num_local_experts=EXPERTS,
            num_experts_per_tok=TOP_K,
            experts_implementation=implementation,
        )
        self.block = MixtralSparseMoeBlock(config)

    def forward(self, x: Tensor) -> Tensor:
        return self.block(x.unsqueeze(0)).squeeze(0)


def dense_ffn(hidden: int) -> LlamaMLP:
    config = LlamaConfig(hidden_size=WIDTH, intermediate_size=hidden)
    return LlamaMLP(config)


@pytest.fixture(scope="module", params=[torch.float32, torch.bfloat16], ids=["float32", "bfloat16"])
def variants(request: pytest.FixtureRequest) -> dict[str, nn.Module]:
    """The same weights in every layer; the scale 1 is Mixtral's."""
    config = LlamaConfig(
        hidden_size=WIDTH, intermediate_size=HIDDEN, num_hidden_layers=1, num_attention_heads=8, vocab_size=8
    )
    model = LlamaForCausalLM(config)
    dense = model.model.layers[0].mlp
    convert(model, MoEConfig(num_experts=EXPERTS, top_k=TOP_K, split="sequential", scale=1.0))
    view = describe(model).blocks[0].mlp
    assert view is not None and view.experts is not None
    layer = view.site.get()
    with torch.no_grad():
        # Ties between logits would send a token elsewhere in bf16: make the routes clear.
        layer.router.weight.mul_(20)
    stock = {f"transformers {name}": HFBlock(name) for name in ("eager", "grouped_mm")}
    for block in (module.block for module in stock.values()):
        experts = [view.experts.weights(e) for e in range(EXPERTS)]
        with torch.no_grad():
            block.gate.weight.copy_(layer.router.weight)
            block.experts.gate_up_proj.copy_(torch.stack([torch.cat((e.gate, e.up)) for e in experts]))
            block.experts.down_proj.copy_(torch.stack([e.down for e in experts]))
    small = dense_ffn(HIDDEN // EXPERTS * TOP_K)
    layers = {"sparsebench": layer, **stock, "dense": dense, "dense, active size": small}
    return {name: module.to(request.param) for name, module in layers.items()}


ROLES = {
    "sparsebench": "ours",
    "transformers eager": "peer",
    "transformers grouped_mm": "peer",
    "dense": "reference",
    "dense, active size": "floor",
}


def agreement(ours: Tensor, reference: Tensor) -> float:
    """Relative error over the tokens that took the same route: the median over tokens, robust to a tie."""
    error = (ours.float() - reference.float()).norm(dim=1) / reference.float().norm(dim=1)
    return float(error.median())


@pytest.mark.parametrize("tokens", [1, 64, 512])
@pytest.mark.parametrize("name", ROLES)
@torch.no_grad()
def test_moe_forward(name: str, tokens: int, variants: dict[str, nn.Module], measure: Callable[..., None]) -> None:
    dtype = next(variants[name].parameters()).dtype
    x = torch.randn(tokens, WIDTH, generator=torch.Generator().manual_seed(0)).to(dtype)
    tolerance = 1e-5 if dtype == torch.float32 else 2e-2
    assert agreement(variants["sparsebench"](x), variants["transformers eager"](x)) < tolerance
    layer = variants[name]
    shape = {"width": WIDTH, "hidden": HIDDEN} if "dense" in name else SHAPE
    group = f"MoE forward, {tokens} tokens, {str(dtype).removeprefix('torch.')}"
    measure(lambda: layer(x), group=group, role=ROLES[name], model=layer, inputs=x, variant=name, shape=shape)
