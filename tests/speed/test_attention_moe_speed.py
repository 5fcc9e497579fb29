"""Our attention experts beside the algorithm of LLaMA-MoE v2, and dense attention of all and of k / N of the heads."""

from collections.abc import Callable
from functools import cache

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM
from transformers.models.llama.modeling_llama import LlamaAttention, rotate_half

from sparsebench.models.moe.attention.convert_attention import AttentionMoE, AttnMoEConfig, convert_attention

from .groups import Timed, Variant, of_model
from .scope import FULL

WIDTH, EXPERTS, GROUP, HEAD = 1024, 8, 2, 64
ROLES = {"sparsebench": "ours", "v2 loop": "peer", "dense": "reference", "dense, k / N of the heads": "floor"}
CASES = [(4, 2, 512), (4, 1, 2048), (2, 8, 128)]
WORK = [
    pytest.param(False, torch.float32, id="forward-float32"),
    pytest.param(False, torch.bfloat16, id="forward-bfloat16"),
    pytest.param(True, torch.bfloat16, id="training-bfloat16"),
    pytest.param(True, torch.float32, id="training-float32"),
]
"""Whether it trains, and in which type; a short run leaves training out."""
# Shapes: B rows, S tokens, T = B * S, W width, n tokens of one expert in one row, R query heads, H head size.


class V2Loop(nn.Module):
    """The eager attention experts of LLaMA-MoE v2 as an algorithm, written anew.

    Expert by expert: scatter its tokens into padded rows, project, rotate, attend with a mask of four dimensions and a
    softmax in float32, project, gather, weight, add.
    """

    def __init__(self, layer: AttentionMoE) -> None:
        super().__init__()
        self.router, self.scaling = layer.router, layer.scaling
        rows = (GROUP * HEAD, HEAD, HEAD)
        self.q, self.k, self.v = (
            nn.ParameterList(weight.clone() for weight in part) for part in layer.qkv.detach().split(rows, dim=1)
        )
        self.o = nn.ParameterList(weight.clone() for weight in layer.out.detach())

    def forward(self, x_BSW: Tensor, rope: tuple[Tensor, Tensor]) -> Tensor:
        batch, length, _ = x_BSW.shape
        x_TW = x_BSW.flatten(0, 1)
        index, weight, *_ = self.router(x_TW)
        chosen = F.one_hot(index, EXPERTS).permute(2, 1, 0)
        out = torch.zeros_like(x_TW)
        for expert in range(EXPERTS):
            rank, token = torch.nonzero(chosen[expert], as_tuple=True)
            if not len(token):
                continue
            row = token // length
            size = int(torch.bincount(row, minlength=batch).max())
            selected = torch.zeros(batch * length, dtype=torch.bool)
            selected[token] = True
            place = (selected.view(batch, length).cumsum(1) - 1).flatten()[token]
            x_BnW = x_TW.new_zeros(batch, size, WIDTH)
            x_BnW[row, place] = x_TW[token]
            position, valid = torch.zeros(batch, size, dtype=torch.long), torch.zeros(batch, size, dtype=torch.bool)
            position[row, place], valid[row, place] = token % length, True
            y_BnW = self.attend(expert, x_BnW, valid, [table[0][position].unsqueeze(1) for table in rope])
            out = out.index_add(0, token, y_BnW[row, place] * weight[token, rank, None].to(x_TW.dtype))
        return out.view_as(x_BSW)

    def attend(self, expert: int, x_BnW: Tensor, valid_Bn: Tensor, rope: list[Tensor]) -> Tensor:
        cos, sin = rope
        q, k, v = (
            F.linear(x_BnW, part[expert]).unflatten(-1, (-1, HEAD)).transpose(1, 2) for part in (self.q, self.k, self.v)
        )
        q, k = (part * cos + rotate_half(part) * sin for part in (q, k))
        low, n = torch.finfo(q.dtype).min, x_BnW.shape[1]
        mask = torch.full((len(x_BnW), 1, n, n), low, dtype=q.dtype).triu(1)
        mask = mask.masked_fill(~valid_Bn[:, None, None, :], low)
        scores = (torch.matmul(q, k.transpose(2, 3)) * self.scaling + mask).softmax(-1, dtype=torch.float32)
        mixed = torch.matmul(scores.to(q.dtype), v).transpose(1, 2).flatten(2)
        return F.linear(mixed, self.o[expert])


class Called(nn.Module):
    """A layer called with hidden states alone."""

    def __init__(self, layer: nn.Module, rope: tuple[Tensor, Tensor]) -> None:
        super().__init__()
        self.layer, self.rope = layer, rope

    def forward(self, x_BSW: Tensor) -> Tensor:
        out = self.layer(x_BSW, self.rope)
        return out[0] if isinstance(out, tuple) else out


def llama(groups: int) -> LlamaForCausalLM:
    config = LlamaConfig(
        hidden_size=WIDTH,
        intermediate_size=8,
        num_hidden_layers=1,
        num_attention_heads=groups * GROUP,
        num_key_value_heads=groups,
        head_dim=HEAD,
        vocab_size=8,
        max_position_embeddings=2048,
    )
    return LlamaForCausalLM(config).eval()


def variants(top_k: int, length: int, dtype: torch.dtype) -> dict[str, nn.Module]:
    """The same weights in ours, the loop and the dense layer, each with its own copy."""
    model, whole = llama(EXPERTS), llama(EXPERTS)
    dense: LlamaAttention = whole.model.layers[0].self_attn
    dense.load_state_dict(model.model.layers[0].self_attn.state_dict())
    convert_attention(model, AttnMoEConfig(num_experts=EXPERTS, top_k=top_k))
    layer = model.model.layers[0].self_attn.to(dtype)
    with torch.no_grad():
        # Ties between logits would send a token elsewhere in bf16: make the routes clear.
        layer.router.weight.mul_(20)
    rope = model.model.rotary_emb(torch.empty(0, dtype=dtype), torch.arange(length).unsqueeze(0))
    layers = {
        "sparsebench": layer,
        "v2 loop": V2Loop(layer),
        "dense": dense,
        "dense, k / N of the heads": llama(top_k).model.layers[0].self_attn,
    }
    return {name: Called(module, rope).to(dtype) for name, module in layers.items()}


@pytest.mark.parametrize(("training", "dtype"), WORK if FULL else WORK[:2])
@pytest.mark.parametrize(("top_k", "rows", "length"), CASES if FULL else CASES[:1])
@pytest.mark.parametrize("name", ROLES)
def test_attention_experts(
    name: str, training: bool, top_k: int, rows: int, length: int, dtype: torch.dtype, compare: Callable[..., Timed]
) -> None:
    models = cache(lambda: variants(top_k, length, dtype))

    def variant(name: str) -> Variant:
        return layer_of(name, models(), training, rows, length, dtype)

    what = "training" if training else "forward"
    narrow = str(dtype).removeprefix("torch.")
    group = f"attention experts {what}, top {top_k} of {EXPERTS}, {rows} x {length} tokens, {narrow}"
    shape = {"width": WIDTH, "experts": EXPERTS, "query_heads": GROUP, "head": HEAD, "top_k": top_k}
    compare(name, ROLES, variant, group=group, shape=shape)


def layer_of(
    name: str, models: dict[str, nn.Module], training: bool, rows: int, length: int, dtype: torch.dtype
) -> Variant:
    generator = torch.Generator().manual_seed(0)
    x = torch.randn(rows, length, WIDTH, generator=generator).to(dtype).requires_grad_(training)
    if ROLES[name] in ("ours", "peer"):
        with torch.no_grad():
            ours, loop = (models[other](x).float() for other in ("sparsebench", "v2 loop"))
        assert (ours - loop).norm() < (1e-5 if dtype == torch.float32 else 2e-2) * loop.norm()
    model = models[name].train(training)
    gradient = torch.randn(x.shape, generator=generator).to(dtype)

    def call() -> None:
        if not training:
            with torch.no_grad():
                model(x)
            return
        model(x).backward(gradient)
        model.zero_grad()
        x.grad = None

    return of_model(call, ROLES[name], model, x)
