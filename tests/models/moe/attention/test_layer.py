"""Attention experts against explicit masks, in float64."""

import gc
import weakref
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.convert_attention import AttentionMoE, AttnMoEConfig, convert_attention

Build = Callable[[str], nn.Module]
FAMILIES = ("llama", "mistral", "qwen2", "qwen3")
MODES = ("drop_kv", "keep_kv")
# Shapes: B rows, S tokens, N experts.


def build_double(build: Build, family: str, **config: object) -> nn.Module:
    """A tiny model whose attention is far from uniform, with biases where it has any."""
    model = build(family).double()
    generator = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "self_attn" in name or "embed" in name:
                parameter.normal_(0, 0.4, generator=generator)
            if "q_norm" in name or "k_norm" in name:
                parameter.add_(1)
    for key, value in config.items():
        setattr(model.config, key, value)
    return model


def reference(dense: Any, layer: AttentionMoE, x: Tensor, rope: tuple[Tensor, Tensor], visible_BSS: Tensor) -> Tensor:
    """All heads of all tokens; a mask says what is seen and a gain, 0 where an expert was not chosen, what counts."""
    mode, experts = layer.config.mode, layer.config.num_experts
    heads = dense.config.num_attention_heads
    q, k, v = (part(x).unflatten(-1, (-1, dense.head_dim)) for part in (dense.q_proj, dense.k_proj, dense.v_proj))
    if hasattr(dense, "q_norm"):
        q, k = dense.q_norm(q), dense.k_norm(k)
    q, k = apply_rotary_pos_emb(q, k, *rope, unsqueeze_dim=2)
    k, v = (part.repeat_interleave(heads // part.shape[2], dim=2) for part in (k, v))
    index, weight, *_ = layer.router(x.flatten(0, 1))
    gain = x.new_zeros(len(index), experts).scatter(1, index, weight).view(*x.shape[:2], experts)
    gain = gain.repeat_interleave(heads // experts, dim=-1)
    mask = visible_BSS.unsqueeze(1)
    if mode == "drop_kv":
        mask = mask & (gain != 0).transpose(1, 2).unsqueeze(2)
    scores = torch.einsum("bihd,bjhd->bhij", q, k) * dense.scaling
    mixed = torch.einsum("bhij,bjhd->bihd", scores.masked_fill(~mask, -1e300).softmax(-1), v)
    return dense.o_proj((mixed * gain.unsqueeze(-1)).flatten(2))


def run(model: nn.Module, **inputs: Any) -> tuple[Tensor, list[tuple[Tensor, tuple[Tensor, Tensor], Tensor]]]:
    """Logits, and input, rotary tables and output of each attention layer."""
    seen = []
    hooks = [
        block.self_attn.register_forward_hook(
            lambda module, args, kwargs, result: seen.append(
                (kwargs["hidden_states"], kwargs["position_embeddings"], result[0])
            ),
            with_kwargs=True,
        )
        for block in model.model.layers
    ]
    logits = model(**inputs, use_cache=False).logits
    for hook in hooks:
        hook.remove()
    return logits, seen


def padded(side: str) -> tuple[dict[str, Tensor], Tensor]:
    """Rows of 9, 5 and 1 tokens; what each token sees."""
    ids = torch.randint(3, 64, (3, 9), generator=torch.Generator().manual_seed(0))
    mask = torch.arange(9) < torch.tensor([9, 5, 1]).unsqueeze(1)
    if side == "left":
        mask = mask.flip(1)
    visible = torch.ones(9, 9).tril().bool() & mask.unsqueeze(1) & mask.unsqueeze(2)
    return {"input_ids": ids, "attention_mask": mask.long()}, visible


def packed() -> tuple[dict[str, Tensor], Tensor]:
    """Sequences of 4, 2 and 5 tokens, and of 11, in two rows."""
    ids = torch.randint(3, 64, (2, 11), generator=torch.Generator().manual_seed(0))
    positions = torch.stack([torch.tensor([0, 1, 2, 3, 0, 1, 0, 1, 2, 3, 4]), torch.arange(11)])
    sequence = (positions == 0).cumsum(1)
    visible = torch.ones(11, 11).tril().bool() & (sequence.unsqueeze(1) == sequence.unsqueeze(2))
    return {"input_ids": ids, "position_ids": positions}, visible


def tree(additive: bool) -> tuple[dict[str, Tensor], Tensor]:
    """A stem of 4 tokens with two branches of 3, given as a mask of four dimensions that all rows share."""
    ids = torch.randint(3, 64, (2, 10), generator=torch.Generator().manual_seed(0))
    visible = torch.ones(10, 10).tril().bool()
    visible[7:, 4:7] = False
    positions = torch.tensor([0, 1, 2, 3, 4, 5, 6, 4, 5, 6]).unsqueeze(0)
    mask = visible if not additive else torch.zeros(10, 10).double().masked_fill(~visible, torch.finfo().min)
    inputs = {"input_ids": ids, "position_ids": positions, "attention_mask": mask[None, None]}
    return inputs, visible.expand(2, -1, -1)


def plain() -> tuple[dict[str, Tensor], Tensor]:
    ids = torch.randint(3, 64, (3, 8), generator=torch.Generator().manual_seed(0))
    return {"input_ids": ids}, torch.ones(8, 8).tril().bool().expand(3, -1, -1)


BATCHES = {
    "plain": plain,
    "left": lambda: padded("left"),
    "right": lambda: padded("right"),
    "packed": packed,
    "tree": lambda: tree(additive=False),
    "additive tree": lambda: tree(additive=True),
}


@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_all_experts_equal_dense(mode: str, build: Build, subtests: pytest.Subtests) -> None:
    """4 query heads in 2 groups: both groups together, one each, and halves of a group."""
    for experts in [1, 2, 4]:
        for family in FAMILIES:
            with subtests.test(experts=experts, family=family):
                model = build_double(build, family)
                inputs, visible = padded("left")
                dense = model(**inputs).logits
                config = AttnMoEConfig(num_experts=experts, top_k=experts, score="none", mode=mode)
                converted = convert_attention(model, config)(**inputs).logits
                present = visible.diagonal(dim1=1, dim2=2)
                torch.testing.assert_close(converted[present], dense[present], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("family", ["llama", "qwen3"])
@torch.no_grad()
def test_layers_equal_the_reference(implementation: str, family: str, build: Build, subtests: pytest.Subtests) -> None:
    for mode in MODES:
        for batch in BATCHES:
            with subtests.test(mode=mode, batch=batch):
                dense, model = build_double(build, family), build_double(build, family)
                convert_attention(model, AttnMoEConfig(num_experts=4, top_k=2, mode=mode, scale=1.7))
                model.set_attn_implementation(implementation)
                inputs, visible = BATCHES[batch]()
                present = visible.diagonal(dim1=1, dim2=2)
                _, layers = run(model, **inputs)
                for old, new, (x, rope, out) in zip(dense.model.layers, model.model.layers, layers, strict=True):
                    expected = reference(old.self_attn, new.self_attn, x, rope, visible)
                    torch.testing.assert_close(out[present], expected[present], atol=1e-12, rtol=1e-12)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("experts", [1, 2])
@torch.no_grad()
def test_sliding_window(mode: str, experts: int, build: Build) -> None:
    """A window counts positions of the row, not tokens of the expert."""
    dense, model = (build_double(build, "mistral", sliding_window=3) for _ in range(2))
    convert_attention(model, AttnMoEConfig(num_experts=2, top_k=experts, mode=mode))
    inputs, visible = plain()
    visible = visible & torch.ones(8, 8).triu(-2).bool()
    _, layers = run(model, **inputs)
    for old, new, (x, rope, out) in zip(dense.model.layers, model.model.layers, layers, strict=True):
        torch.testing.assert_close(out, reference(old.self_attn, new.self_attn, x, rope, visible))


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("batch", ["plain", "left", "packed"])
def test_gradients_equal_the_reference(mode: str, batch: str, build: Build) -> None:
    dense, model = build_double(build, "qwen2"), build_double(build, "qwen2")
    convert_attention(model, AttnMoEConfig(num_experts=2, top_k=1, renorm=False, mode=mode, scale=1.0))
    inputs, visible = BATCHES[batch]()
    present = visible.diagonal(dim1=1, dim2=2)
    _, layers = run(model, **inputs)
    old, new = dense.model.layers[1].self_attn, model.model.layers[1].self_attn
    x, rope, out = layers[1]
    ours = torch.autograd.grad(out[present].square().sum(), [x, new.router.weight, new.qkv, new.qkv_bias, new.out])
    expected = reference(old, new, x, rope, visible)[present].square().sum()
    weights = [old.q_proj.weight, old.k_proj.weight, old.v_proj.weight, old.o_proj.weight]
    d_x, d_router, *d_dense = torch.autograd.grad(expected, [x, new.router.weight, *weights])
    torch.testing.assert_close(ours[0], d_x)
    torch.testing.assert_close(ours[1], d_router)
    assert d_router.abs().sum() > 0
    split = ours[2].view(2, 4, 8, 32).split((2, 1, 1), dim=1)
    for part, other in zip(split, d_dense, strict=False):
        torch.testing.assert_close(part.flatten(0, 2), other)
    torch.testing.assert_close(ours[4].transpose(0, 1).flatten(1), d_dense[3])


@torch.no_grad()
def test_a_mask_changed_in_place_is_a_new_mask(build: Build) -> None:
    model = convert_attention(build_double(build, "llama"), AttnMoEConfig(num_experts=2, top_k=1))
    inputs, _ = tree(additive=False)
    before = model(**inputs, use_cache=False).logits
    inputs["attention_mask"][..., 7:, 4:7] = torch.ones(3, 3).bool()
    after = model(**inputs, use_cache=False).logits
    assert not torch.equal(before, after)
    fresh = {**inputs, "attention_mask": inputs["attention_mask"].clone()}
    assert torch.equal(after, model(**fresh, use_cache=False).logits)
    with torch.inference_mode():
        assert torch.equal(after, model(**fresh, use_cache=False).logits)


def test_masks_are_not_kept(build: Build) -> None:
    model = convert_attention(build_double(build, "llama"), AttnMoEConfig(num_experts=2, top_k=1))
    inputs, _ = tree(additive=True)
    mask = weakref.ref(inputs["attention_mask"])
    with torch.no_grad():
        model(**inputs, use_cache=False)
    del inputs
    gc.collect()
    assert mask() is None


def test_attention_dropout_in_training_only(build: Build) -> None:
    model = build_double(build, "llama")
    for block in model.model.layers:
        block.self_attn.attention_dropout = 0.5
    convert_attention(model, AttnMoEConfig(num_experts=2, top_k=2))
    inputs, _ = plain()
    assert torch.equal(model(**inputs).logits, model(**inputs).logits)
    model.train()
    with torch.random.fork_rng():
        assert not torch.equal(model(**inputs).logits, model(**inputs).logits)


@pytest.mark.parametrize("mode", MODES)
@torch.no_grad()
def test_bfloat16_and_autocast(mode: str, build: Build) -> None:
    inputs, visible = padded("left")
    present = visible.diagonal(dim1=1, dim2=2)
    model = build_double(build, "qwen3").float()
    convert_attention(model, AttnMoEConfig(num_experts=4, top_k=4, score="none", mode=mode))
    exact = model(**inputs).logits[present]
    with torch.autocast("cpu", torch.bfloat16):
        mixed = model(**inputs).logits[present]
    narrow = model.bfloat16()(**inputs).logits[present]
    assert narrow.dtype == torch.bfloat16
    for other in (mixed, narrow):
        assert (other - exact).norm() < 0.05 * exact.norm()


def test_attention_maps_are_refused(build: Build) -> None:
    model: Any = build("llama").eval()
    convert_attention(model, AttnMoEConfig(num_experts=4, top_k=2))
    ids = torch.arange(3, 9).unsqueeze(0)
    with pytest.raises(ModelError, match="give no attention maps: call the model without output_attentions"):
        model(input_ids=ids, output_attentions=True)
    assert model(input_ids=ids, output_attentions=False).attentions is None
