from collections.abc import Callable

import pytest
import torch
from torch import nn
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.adapters import ByNameConfig, LoRAConfig, attach, attach_by_name
from sparsebench.models.counting import (
    count_parameters,
    counted_flops,
    flops,
    stored_bytes,
    trained_bytes,
    training_flops,
)
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.sparsity.masked import MaskedLinear

Build = Callable[[str], nn.Module]


class GatedFFN(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.gate, self.up, self.down = (nn.Linear(*size, bias=False) for size in ((16, 40), (16, 40), (40, 16)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.down(nn.functional.silu(self.gate(x)) * self.up(x))


def test_tied_tensors_count_once() -> None:
    model = nn.Sequential(nn.Linear(4, 4, bias=False), nn.Linear(4, 4, bias=False))
    assert count_parameters(model).total == 32 and stored_bytes(model) == 128
    model[1].weight = model[0].weight
    assert count_parameters(model).total == 16 and stored_bytes(model) == 64


def test_views_of_one_storage_count_once() -> None:
    model = nn.Linear(4, 4, bias=False)
    model.register_buffer("view", model.weight.detach()[:2])
    assert stored_bytes(model) == 64


def test_frozen_parameters_are_not_trainable() -> None:
    model = nn.Linear(4, 4)
    model.weight.requires_grad_(False)
    counts = count_parameters(model)
    assert (counts.total, counts.trainable, counts.active, counts.nonzero) == (20, 4, 20, 20)


def test_bytes_of_a_task_shrink_with_pruning() -> None:
    model = nn.Sequential(nn.Linear(4, 4), layer := MaskedLinear(4, 8, bias=False))
    model[0].requires_grad_(False)
    nn.init.ones_(layer.stored)
    assert trained_bytes(model) == 4 * 32
    layer.prune(torch.arange(32).view(8, 4) < 5)
    assert trained_bytes(model) == 4 * 5 + 32 // 8


@pytest.mark.parametrize("name", ["mixtral", "olmoe", "qwen2_moe", "qwen3_moe"])
def test_stock_experts_count_k_of_n(name: str, build: Build) -> None:
    model = build(name)
    fused = sum(p.numel() for n, p in model.named_parameters() if ".experts." in n)
    counts = count_parameters(model)
    assert counts.active == counts.total - fused // 2


@pytest.mark.parametrize(("num_experts", "top_k", "billions"), [(16, 4, 3.49), (16, 2, 2.95), (8, 2, 3.49)])
def test_llama_moe_published_sizes(num_experts: int, top_k: int, billions: float) -> None:
    """LLaMA-2-7B cut as in LLaMA-MoE (arXiv 2406.16554): 3.49B, 2.95B and 3.49B active; embeddings included."""
    config = LlamaConfig(
        hidden_size=4096, intermediate_size=11008, num_hidden_layers=32, num_attention_heads=32, vocab_size=32000
    )
    with torch.device("meta"):
        model = LlamaForCausalLM(config)
    convert(model, MoEConfig(num_experts=num_experts, top_k=top_k))
    assert count_parameters(model).active / 1e9 == pytest.approx(billions, abs=0.006)


def test_dense_flops_closed_form() -> None:
    assert flops(GatedFFN(), torch.randn(3, 16)) == 2 * 3 * (3 * 16 * 40)


@pytest.mark.parametrize("tokens", [1, 6])
@pytest.mark.parametrize("shared", [0, 2])
def test_moe_flops_closed_form(tokens: int, shared: int, build: Build) -> None:
    """8 blocks of equal size, 4 of them active: half of the FFN's work, plus the router."""
    model = build("llama")
    for layer in model.model.layers:
        layer.mlp.gate_proj, layer.mlp.up_proj = nn.Linear(32, 48, bias=False), nn.Linear(32, 48, bias=False)
        layer.mlp.down_proj = nn.Linear(48, 32, bias=False)
    convert(model, MoEConfig(num_experts=8, top_k=4 - shared, num_shared=shared))
    layer = model.model.layers[0].mlp
    assert flops(layer, torch.randn(tokens, 32)) == 2 * tokens * (3 * 32 * 24 + 32 * (8 - shared))


@pytest.mark.parametrize("implementation", ["eager", "grouped_mm"])
def test_stock_mixture_flops_closed_form(implementation: str, build: Build) -> None:
    model = build("mixtral")
    model.set_experts_implementation(implementation)
    layer = model.model.layers[0].mlp
    assert flops(layer, torch.randn(1, 6, 32)) == 2 * 6 * (2 * 3 * 32 * 48 + 32 * 4)


def test_attention_counts_on_the_cpu() -> None:
    q, k, v = torch.randn(3, 2, 4, 8, 16).unbind(0)  # batch 2, heads 4, tokens 8, head 16
    assert flops(torch.nn.functional.scaled_dot_product_attention, q, k, v) == 2 * 2 * (2 * 4 * 8 * 8 * 16)


def test_grouped_attention_counts_every_query() -> None:
    q_BHTE = torch.randn(2, 4, 8, 16)
    k_BGSE = torch.randn(2, 2, 12, 16)
    attention = torch.nn.functional.scaled_dot_product_attention
    assert flops(attention, q_BHTE, k_BGSE, k_BGSE, enable_gqa=True) == 2 * 2 * (2 * 4 * 8 * 12 * 16)


class TwoHalves(torch.Tensor):
    """A tensor that wraps two others, as quantised ones wrap codes and scales."""

    codes: torch.Tensor
    scale: torch.Tensor

    @staticmethod
    def __new__(cls, codes: torch.Tensor, scale: torch.Tensor) -> "TwoHalves":
        return torch.Tensor._make_wrapper_subclass(cls, codes.shape, dtype=torch.float32)

    def __init__(self, codes: torch.Tensor, scale: torch.Tensor) -> None:
        self.codes, self.scale = codes, scale

    @classmethod
    def __torch_dispatch__(cls, function, types, args=(), kwargs=None):
        assert function is torch.ops.aten.detach.default, function
        return cls(args[0].codes, args[0].scale)


class Flattened(TwoHalves):
    def __tensor_flatten__(self) -> tuple[list[str], None]:
        return ["codes", "scale"], None

    @staticmethod
    def __tensor_unflatten__(inner, context, size, stride):
        return Flattened(**inner)


def test_a_quantised_tensor_counts_with_what_it_wraps() -> None:
    codes, scale = torch.zeros(8, 4, dtype=torch.int8), torch.zeros(8)
    layer = nn.Linear(4, 8, bias=False)
    layer.weight = nn.Parameter(Flattened(codes, scale), requires_grad=False)
    assert stored_bytes(layer) == 8 * 4 + 8 * 4 and count_parameters(layer).total == 32
    layer.weight = nn.Parameter(TwoHalves(codes, scale), requires_grad=False)
    with pytest.raises(ModelError, match="weight is a TwoHalves, which computes in its own way"):
        stored_bytes(layer)


def test_a_mixture_that_no_describer_knows_is_refused() -> None:
    class Mixture(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.router = nn.Linear(4, 3)
            self.shared_experts = nn.Linear(4, 4)
            self.experts = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))

    model = nn.Sequential(Mixture())
    with pytest.raises(ModelError, match=r"0\.experts in Sequential looks like routed experts"):
        count_parameters(model)
    del model[0].experts
    assert count_parameters(model).active == 15 + 20


def test_experts_that_a_known_model_hides_are_refused(build: Build) -> None:
    model = build("llama")
    model.model.layers[0].extra = nn.ModuleDict({"experts": nn.Linear(2, 2)})
    with pytest.raises(ModelError, match=r"layers\.0\.extra\.experts in LlamaForCausalLM"):
        count_parameters(model)


def test_products_that_are_added_in_place_count(build: Build) -> None:
    """A LoRA pair is two products a token, in evaluation and in training, however they are computed."""
    model = build("llama")
    tokens = torch.ones(8, 9, dtype=torch.long)
    bare = flops(model, tokens)
    adapters = attach(model, LoRAConfig(r=4))
    extra = 2 * tokens.numel() * adapters.count()
    assert flops(model, tokens) == bare + extra
    with torch.enable_grad(), counted_flops() as reading:
        model(tokens)
    assert reading() == bare + extra


def test_backward_of_adapted_layers_counts_every_product() -> None:
    """Of a frozen layer the gradient of the input, of a pair those of both factors, of `low` and of the input."""
    layer = nn.Sequential(nn.Linear(16, 16, bias=False), nn.Linear(16, 16, bias=False))
    tokens, r = 128, 4
    adapters = attach_by_name(layer, ByNameConfig(modules=("0", "1"), adapter=LoRAConfig(r=r)))
    frozen = 2 * tokens * 16 * 16
    pair = 2 * tokens * 16 * r
    # The input of the first layer has no gradient.
    expected = 2 * (frozen + 2 * pair) + (frozen + 4 * pair) + 3 * pair
    assert training_flops(lambda: layer(torch.randn(tokens, 16)).sum()) == expected
    assert adapters.count() == 2 * 2 * 16 * r


def test_layers_of_torch_count_in_evaluation_as_in_training() -> None:
    layer = nn.TransformerEncoderLayer(16, 4, 32, dropout=0.0, batch_first=True)
    x = torch.randn(2, 5, 16)
    expected = 2 * 10 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 2 * 2 * 5 * 5 * 16
    assert flops(layer.train(), x) == expected
    assert flops(layer.eval(), x) == expected
    assert torch.backends.mha.get_fastpath_enabled()


def test_attention_counts_backward_on_the_cpu() -> None:
    q = torch.randn(2, 4, 8, 16, requires_grad=True)
    product = 2 * 2 * 4 * 8 * 8 * 16
    assert training_flops(lambda: nn.functional.scaled_dot_product_attention(q, q, q).sum()) == (2 + 5) * product


@pytest.mark.parametrize("kind", [nn.Conv2d, nn.ConvTranspose2d])
@pytest.mark.parametrize("groups", [1, 4])
def test_gradients_of_convolutions_cost_as_much_as_forward(kind: type[nn.Module], groups: int) -> None:
    conv = kind(8, 12, 3, stride=2, groups=groups)
    x = torch.randn(2, 8, 9, 9)
    forward = flops(conv, x)
    positions = 9 * 9 if kind is nn.ConvTranspose2d else 4 * 4
    assert forward == 2 * 2 * positions * 9 * 8 * 12 // groups
    assert training_flops(lambda: conv(x).sum()) == 2 * forward
    assert training_flops(lambda: conv(x.clone().requires_grad_()).sum()) == 3 * forward


def test_recurrent_layers_count() -> None:
    lstm = nn.LSTM(8, 16, 2, batch_first=True)
    x = torch.randn(3, 5, 8)
    once = 2 * 15 * 4 * 16 * ((8 + 16) + (16 + 16))
    assert flops(lstm, x) == once
    assert training_flops(lambda: lstm(x)[0].sum()) == 3 * once


def test_recurrent_layers_of_a_gpu_count() -> None:
    """The operator by itself, where there is no GPU: all matrices in one list."""
    lstm = nn.LSTM(8, 16, 2, device="meta")
    x = torch.empty(5, 3, 8, device="meta")
    state = torch.empty(2, 3, 16, device="meta")
    sizes = (2, 16, 0, 2, False, 0.0, False, False, (), None)  # an LSTM of 16 units in 2 layers
    with counted_flops() as reading:
        torch.ops.aten._cudnn_rnn(x, list(lstm.parameters()), 4, None, state, state, *sizes)
    assert reading() == 2 * 15 * 4 * 16 * ((8 + 16) + (16 + 16))


@pytest.mark.parametrize(
    "product",
    [
        lambda a, b: a @ b[:, 0],
        lambda a, b: torch.addmv(torch.ones(3), a, b[:, 0]),
        lambda a, b: torch.ones(3, 1).addmm_(a, b[:, :1]),
        lambda a, b: torch.ones(1, 3, 1).baddbmm_(a[None], b[None, :, :1]),
        lambda a, b: torch.addbmm(torch.ones(3, 1), a[None], b[None, :, :1]),
        lambda a, b: torch._addmm_activation(torch.ones(1), a, b[:, :1]),
    ],
)
def test_every_form_of_a_product_counts(product: Callable[..., torch.Tensor]) -> None:
    assert flops(product, torch.ones(3, 5), torch.ones(5, 2)) == 2 * 3 * 5
