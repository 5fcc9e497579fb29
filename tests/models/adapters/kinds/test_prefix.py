import copy
import math
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, LoRAConfig, attach, sparsify
from sparsebench.models.adapters.files.saving import load_adapters, save_adapters
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.prefix import MLPPrefix, PrefixConfig, PrefixLayer, fold_prefix
from sparsebench.models.adapters.presets import preset
from sparsebench.models.anatomy import Attention, describe
from sparsebench.models.moe.attention.convert_attention import AttnMoEConfig, convert_attention

Build = Callable[[str], Any]
DECODERS = ("llama", "mistral", "qwen2", "qwen3", "mixtral")
FAMILIES = (*DECODERS, "bert", "roberta", "vit", "timm_vit")


def strong(adapters: AdapterSet, scale: float = 1.0) -> AdapterSet:
    """Prefixes large enough that every query looks at them."""
    generator = torch.Generator().manual_seed(7)
    for _, layer in adapters.layers():
        for _, parameter in layer.adapter_parameters():
            parameter.data.normal_(0, scale, generator=generator)
    return adapters


def first(adapters: AdapterSet) -> Any:
    layer = next(layer for _, layer in adapters.layers())
    assert isinstance(layer, PrefixLayer)
    return layer


def attention(model: nn.Module) -> Attention:
    found = describe(model).blocks[0].attention
    assert found is not None
    return found


def qkv(model: nn.Module, x: Tensor, rope: tuple[Tensor, Tensor] | None = None) -> list[Tensor]:
    """Queries (heads, S, H), keys and values of one sequence x (S, D), made by hand from the weights."""
    view = attention(model)
    if view.qkv is not None:
        parts = view.qkv.get()(x).chunk(3, dim=-1)
    else:
        assert view.q and view.k and view.v
        parts = [site.get()(x) for site in (view.q, view.k, view.v)]
    q, k, v = (part.unflatten(-1, (-1, view.head_dim)).transpose(0, 1) for part in parts)
    module = view.site.get()
    if hasattr(module, "q_norm"):
        q, k = module.q_norm(q), module.k_norm(k)
    if rope is not None:
        half = view.head_dim // 2
        turn = lambda t: t * rope[0] + torch.cat((-t[..., half:], t[..., :half]), dim=-1) * rope[1]  # noqa: E731
        q, k = turn(q), turn(k)
    groups = view.num_heads // view.num_kv_heads
    return [q, k.repeat_interleave(groups, 0), v.repeat_interleave(groups, 0)]


def oracle(parts: list[Tensor], prefix: tuple[Tensor, Tensor], visible: Tensor, *, gated: bool) -> Tensor:
    """Mixed values (S, heads * H), head by head; `visible` (S, S). Gated: He et al., arXiv 2110.04366, equation 7."""
    groups = len(parts[0]) // len(prefix[0])
    p_k, p_v = (part.repeat_interleave(groups, 0) for part in prefix)
    heads = []
    for q, k, v, more_k, more_v in zip(*parts, p_k, p_v, strict=True):
        scores = (q @ k.T / math.sqrt(q.shape[-1])).masked_fill(~visible, -math.inf)
        more = q @ more_k.T / math.sqrt(q.shape[-1])
        if gated:
            share = more.exp().sum(-1, keepdim=True) / (more.exp().sum(-1, keepdim=True) + scores.exp().sum(-1, True))
            heads.append((1 - share) * (scores.softmax(-1) @ v) + share * (more.softmax(-1) @ more_v))
        else:
            heads.append(torch.cat((more, scores), dim=-1).softmax(-1) @ torch.cat((more_v, v)))
    return torch.cat(heads, dim=-1)


@pytest.mark.parametrize("gated", [False, True])
@pytest.mark.parametrize("name", [*DECODERS[:4], "vit", "timm_vit"])
def test_the_formula(name: str, gated: bool, build: Build) -> None:
    model = build(name).double()
    adapters = strong(attach(model, PrefixConfig(length=5)))
    layer = first(adapters).double()
    x = torch.randn(1, 6, 32, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    visible, rope, keywords = torch.ones(6, 6, dtype=torch.bool), None, {}
    if name in DECODERS:
        rope = model.model.rotary_emb(x, torch.arange(6)[None])
        visible, keywords = visible.tril(), {"position_embeddings": rope, "attention_mask": None}
        out, _ = layer(hidden_states=x, **keywords)
    else:
        out = layer(x)
        out = out if isinstance(out, Tensor) else out[0]
    with torch.no_grad():
        parts = qkv(model, x[0], rope and (rope[0][0], rope[1][0]))
        o = attention(model).o
        assert o is not None
        expected = o.get()(oracle(parts, layer.prefix(), visible, gated=gated))
        torch.testing.assert_close(out[0], expected, atol=1e-12, rtol=1e-10)
        without = layer.base_layer(x) if not keywords else layer.base_layer(hidden_states=x, **keywords)
    assert not torch.allclose(out, without if isinstance(without, Tensor) else without[0], atol=1e-2)


@pytest.mark.parametrize("name", ["bert", "roberta"])
def test_the_formula_with_padding(name: str, build: Build, example: Callable) -> None:
    model = build(name).double()
    layer = first(strong(attach(model, PrefixConfig(length=5)))).double()
    seen: dict[str, Any] = {}
    inner = attention(model).site.get().self
    inner.register_forward_pre_hook(lambda module, args, keywords: seen.update(x=args[0]), with_kwargs=True)
    inner.register_forward_hook(lambda module, args, out: seen.update(y=out[0]))
    tokens, mask = example(model), torch.ones(2, 7, dtype=torch.long)
    mask[1, 4:] = 0
    with torch.no_grad():
        model(tokens, attention_mask=mask)
        for row, count in enumerate((7, 4)):
            parts = qkv(model, seen["x"][row])
            visible = (mask[row] == 1).expand(7, 7)
            expected = oracle(parts, layer.prefix(), visible, gated=False)
            torch.testing.assert_close(seen["y"][row, :count], expected[:count], atol=1e-12, rtol=1e-10)


@pytest.mark.parametrize("name", FAMILIES[:-1])
def test_implementations_agree(name: str, build: Build, example: Callable, run: Callable) -> None:
    """That of timm is one."""
    model = build(name)
    strong(attach(model, PrefixConfig(length=4)))
    model.set_attn_implementation("sdpa")
    fused = run(model, example(model))
    model.set_attn_implementation("eager")
    torch.testing.assert_close(run(model, example(model)), fused, atol=1e-5, rtol=1e-5)


def test_eager_attention_returns_the_share_of_the_prefix(build: Build, example: Callable) -> None:
    model = build("llama")
    model.set_attn_implementation("eager")
    strong(attach(model, PrefixConfig(length=4)))
    weights = model(example(model), output_attentions=True).attentions
    assert [tuple(w.shape) for w in weights] == [(2, 4, 7, 11)] * 2
    torch.testing.assert_close(weights[0].sum(-1), torch.ones(2, 4, 7))
    assert not weights[0][..., 4:].triu(1).any() and (weights[0][..., :4] > 0).all()


@pytest.mark.parametrize("implementation", ["sdpa", "eager"])
@pytest.mark.parametrize("name", DECODERS)
def test_cached_decoding_equals_the_full_pass(name: str, implementation: str, build: Build, example: Callable) -> None:
    """In chunks of 3, 1, 2 and 1 tokens, with left padding in one row."""
    model = build(name)
    model.set_attn_implementation(implementation)
    strong(attach(model, PrefixConfig(length=4)))
    tokens, mask = example(model), torch.ones(2, 7, dtype=torch.long)
    for masked in (False, True):
        mask[1, :2] = not masked
        given = {"attention_mask": mask, "position_ids": (mask.cumsum(1) - 1).clamp(min=0)} if masked else {}
        with torch.no_grad():
            full = model(tokens, **given).logits
            parts, cache, start = [], transformers.DynamicCache(config=model.config), 0
            for stop in (3, 4, 6, 7):
                places = {"attention_mask": slice(0, stop), "position_ids": slice(start, stop)}
                piece = {key: value[:, places[key]] for key, value in given.items()}
                out = model(tokens[:, start:stop], cache=cache, use_cache=True, **piece)
                parts, start = [*parts, out.logits], stop
        real = mask.bool() if masked else torch.ones_like(mask, dtype=torch.bool)
        torch.testing.assert_close(torch.cat(parts, dim=1)[real], full[real], atol=1e-5, rtol=1e-5)
        assert cache.get_seq_length() == 7


@pytest.mark.parametrize("cache", ["dynamic", "static"])
@pytest.mark.parametrize("name", ["llama", "mistral", "qwen3"])
def test_generate(name: str, cache: str, build: Build, example: Callable, run: Callable) -> None:
    """Greedy decoding with a cache gives what repeated full passes give."""
    model = build(name)
    plain = model.generate(example(model), max_new_tokens=6, do_sample=False, eos_token_id=-1)
    strong(attach(model, PrefixConfig(length=4)))
    tokens = example(model)
    for _ in range(6):
        tokens = torch.cat((tokens, run(model, tokens)[:, -1:].argmax(-1)), dim=1)
    options = {"cache_implementation": "static", "disable_compile": True} if cache == "static" else {}
    mask = torch.ones_like(example(model))
    given = model.generate(
        example(model), attention_mask=mask, max_new_tokens=6, do_sample=False, eos_token_id=-1, **options
    )
    assert torch.equal(given, tokens) and not torch.equal(given, plain)


def test_sliding_windows_slide_behind_the_prefix(example: Callable, run: Callable) -> None:
    """A window of 3: a token sees the prefix and three tokens, in the full pass and with a cache."""
    config = transformers.MistralConfig(
        hidden_size=32, intermediate_size=50, num_hidden_layers=1, num_attention_heads=4, num_key_value_heads=2,
        vocab_size=64, sliding_window=3,
    )  # fmt: skip
    model = transformers.MistralForCausalLM(config).eval()
    strong(attach(model, PrefixConfig(length=4)))
    tokens = example(model)
    changed = tokens.clone()
    changed[:, 0] = (changed[:, 0] + 1) % 64
    before, after = run(model, tokens), run(model, changed)
    torch.testing.assert_close(before[:, 3:], after[:, 3:])
    assert not torch.allclose(before[:, 2], after[:, 2], atol=1e-4)
    cache = transformers.DynamicCache(config=config)
    with torch.no_grad():
        steps = [model(tokens[:, i : i + 1], cache=cache).logits for i in range(7)]
    torch.testing.assert_close(torch.cat(steps, dim=1), before, atol=1e-5, rtol=1e-5)


def test_a_decoder_bert_stays_causal() -> None:
    config = transformers.BertConfig(
        hidden_size=32, intermediate_size=50, num_hidden_layers=1, num_attention_heads=4, vocab_size=64, is_decoder=True
    )
    model = transformers.BertLMHeadModel(config).eval()
    strong(attach(model, PrefixConfig(length=4)))
    tokens = torch.randint(3, 64, (2, 7), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        full, part = model(tokens).logits, model(tokens[:, :4]).logits
        model.set_attn_implementation("eager")
        eager = model(tokens).logits
    torch.testing.assert_close(full[:, :4], part, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(full, eager, atol=1e-5, rtol=1e-5)


def test_counts() -> None:
    """BERT-base: 2 * 30 * 768 per layer; MLP: E, W_1 and b_1 once, W_2 and b_2 for each layer."""
    with torch.device("meta"):
        bert = transformers.BertModel(transformers.BertConfig())
        llama = transformers.LlamaModel(
            transformers.LlamaConfig(hidden_size=64, num_attention_heads=8, num_key_value_heads=2, num_hidden_layers=3)
        )
        vit = timm.create_model("vit_base_patch16_224")
    assert attach(bert, PrefixConfig()).count() == 12 * 2 * 30 * 768 == 552_960
    assert attach(vit, PrefixConfig(length=10, blocks=3)).count() == 3 * 2 * 10 * 768
    assert attach(llama, PrefixConfig(length=16)).count() == 3 * 2 * 16 * 2 * 8
    big = attach(bert, PrefixConfig(bottleneck=800), name="mlp")
    assert big.count() == 30 * 768 + 768 * 800 + 800 + 12 * (800 * 2 * 768 + 2 * 768)
    fold_prefix(big)
    assert big.count() == 552_960


def test_the_start_is_normal(build: Build) -> None:
    adapters = attach(build("llama"), PrefixConfig(length=400))
    assert not adapters.prunable()
    layer = first(adapters)
    assert layer.prefix.keys.shape == layer.prefix.values.shape == (2, 400, 8)
    for part in layer.prefix():
        part = part.detach()
        assert abs(float(part.mean())) < 1e-3 and abs(float(part.std()) - 0.02) < 1e-3
    again, other = (first(attach(build("llama"), PrefixConfig(length=400, seed=s))) for s in (0, 1))
    assert torch.equal(layer.prefix.keys, again.prefix.keys)
    assert not torch.equal(layer.prefix.keys, other.prefix.keys)


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
def test_folding_the_mlp(name: str, build: Build, example: Callable, run: Callable) -> None:
    model = build(name)
    adapters = strong(attach(model, PrefixConfig(length=3, bottleneck=6)), 0.5)
    layers = [layer for _, layer in adapters.layers()]
    a, b = (layer.prefix for layer in layers if isinstance(layer, PrefixLayer))
    assert isinstance(a, MLPPrefix) and isinstance(b, MLPPrefix) and a.trunk is b.trunk
    hidden = (a.trunk.embedding @ a.trunk.linear.weight.T + a.trunk.linear.bias).tanh()
    flat = hidden @ b.linear.weight.T + b.linear.bias  # keys of all heads, then values of all heads
    heads = attention(model).num_kv_heads
    for i, part in enumerate(b()):
        torch.testing.assert_close(part[heads - 1], flat[:, (i + 1) * heads * 8 - 8 : (i + 1) * heads * 8])
    expected, copied = run(model, example(model)), copy.deepcopy(model)
    fold_prefix(adapters)
    assert torch.equal(run(model, example(model)), expected)
    assert adapters.config == PrefixConfig(length=3) and len(adapters.state_dict()) > 0
    assert not any("trunk" in key for key in adapters.state_dict())
    fresh = build(name)
    attach(fresh, adapters.config).load_state_dict(adapters.state_dict())
    assert torch.equal(run(fresh, example(model)), expected) and torch.equal(run(copied, example(model)), expected)


@pytest.mark.parametrize("name", ["llama", "bert", "timm_vit"])
@pytest.mark.parametrize("lora_first", [True, False])
def test_lora_below_a_prefix(name: str, lora_first: bool, build: Build, example: Callable, run: Callable) -> None:
    """The projections are the model's own, so adapters around them act as they do when merged."""
    merged, model = build(name), build(name)
    batch = example(model)
    lora = LoRAConfig(r=4, init="normal")
    both = [("lora", lora), ("prefix", PrefixConfig(length=4))]
    sets = {key: attach(model, config, key) for key, config in (both if lora_first else both[::-1])}
    strong(sets["prefix"])
    strong(sets["lora"], 0.3)
    source = attach(merged, lora)
    source.load_state_dict(sets["lora"].state_dict())
    source.merge()
    attach(merged, both[1][1]).load_state_dict(sets["prefix"].state_dict())
    torch.testing.assert_close(run(model, batch), run(merged, batch), atol=1e-5, rtol=1e-4)
    sets["lora"].merge()
    torch.testing.assert_close(run(model, batch), run(merged, batch), atol=1e-5, rtol=1e-4)


@pytest.mark.parametrize("name", ["llama", "bert", "vit", "timm_vit"])
def test_two_prefixes_are_one_longer_prefix(name: str, build: Build, example: Callable, run: Callable) -> None:
    model, long = build(name), build(name)
    one, two = (strong(attach(model, PrefixConfig(length=n), key)) for n, key in ((2, "one"), (3, "two")))
    alone = attach(long, PrefixConfig(length=5))
    rows = zip(one.layers(), two.layers(), alone.layers(), strict=True)
    for (_, a), (_, b), (_, c) in rows:
        for key, value in c.adapter_parameters():
            parts = [dict(layer.adapter_parameters())[key].detach() for layer in (a, b)]
            value.data.copy_(torch.cat(parts, dim=1))
    torch.testing.assert_close(run(model, example(model)), run(long, example(model)), atol=1e-5, rtol=1e-5)
    only = build(name)
    attach(only, PrefixConfig(length=3)).load_state_dict(two.state_dict())
    one.disable()
    torch.testing.assert_close(run(model, example(model)), run(only, example(model)))
    one.enable()
    two.disable()
    only = build(name)
    attach(only, PrefixConfig(length=2)).load_state_dict(one.state_dict())
    torch.testing.assert_close(run(model, example(model)), run(only, example(model)))


@pytest.mark.parametrize("bottleneck", [None, 6])
@pytest.mark.parametrize("name", ["llama", "bert", "vit", "timm_vit"])
def test_compiles(name: str, bottleneck: int | None, build: Build, example: Callable, run: Callable) -> None:
    model = build(name)
    strong(attach(model, PrefixConfig(length=3, bottleneck=bottleneck)))
    batch, result = example(model), run(model, example(model))
    compiled = torch.compile(model, backend="aot_eager", fullgraph=True)
    keywords = {"use_cache": False} if name == "llama" else {}
    with torch.no_grad():
        out = compiled(batch, **keywords)
    torch.testing.assert_close(out if isinstance(out, Tensor) else out.logits, result, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("bottleneck", [None, 6])
@pytest.mark.parametrize("name", FAMILIES)
def test_every_part_learns(name: str, bottleneck: int | None, build: Build, example: Callable) -> None:
    model = build(name)
    adapters = strong(attach(model, PrefixConfig(length=3, bottleneck=bottleneck)))
    out = model(example(model))
    (out if isinstance(out, Tensor) else out.logits).square().sum().backward()
    assert all(parameter.grad is not None and parameter.grad.any() for parameter in adapters.parameters())
    assert {id(p) for p in model.parameters() if p.grad is not None} == {id(p) for p in adapters.parameters()}


def test_gradient_checkpointing(build: Build, example: Callable) -> None:
    model = build("llama").train()
    adapters = strong(attach(model, PrefixConfig(length=3)))
    grads = []
    for checkpointing in (False, True):
        if checkpointing:
            model.activation_checkpointing_enable()
        model(example(model), use_cache=False).logits.square().sum().backward()
        grads.append([parameter.grad for parameter in adapters.parameters()])
        model.zero_grad()
    for plain, other in zip(*grads, strict=True):
        torch.testing.assert_close(other, plain)


def test_float32_prefix_beside_a_bfloat16_base(build: Build, example: Callable, run: Callable) -> None:
    for name in ("llama", "bert", "vit", "timm_vit"):
        model = build(name).bfloat16()
        adapters = strong(attach(model, PrefixConfig(length=3)))
        assert {value.dtype for _, value in first(adapters).adapter_parameters()} == {torch.float32}
        low = run(model, example(model))
        assert low.dtype == torch.bfloat16
        high = build(name)
        attach(high, PrefixConfig(length=3, train_head=False)).load_state_dict(
            {key: value for key, value in adapters.state_dict().items() if "prefix" in key}
        )
        torch.testing.assert_close(low.float(), run(high, example(model)), atol=0.06, rtol=0.06)


@pytest.mark.parametrize("name", ["bert", "roberta", "llama", "timm_vit"])
def test_mam(name: str, build: Build, example: Callable, run: Callable, tmp_path: Path) -> None:
    """Prefix and scaled parallel adapter as one set; only the latter's 2 * 32 * 16 weights per block can be pruned."""
    model = build(name)
    config = preset("mam")
    adapters = attach(model, config)
    kinds = [type(layer).__name__ for _, layer in adapters.layers()]
    assert kinds == ["PrefixLayer", "ResidualAdapter" if "bert" in name else "ParallelAdapter"] * 2
    prefixes = [layer for _, layer in adapters.layers() if isinstance(layer, PrefixLayer)]
    strong(adapters, 0.3)
    with torch.no_grad():
        kept = [torch.stack(layer.prefix()) for layer in prefixes]
    sparsify(adapters, method="magnitude", sparsity=0.75)
    assert sum(layer.masked_out() for layer in adapters.prunable().values()) == 0.75 * 2 * 2 * 32 * 16
    assert all(torch.equal(torch.stack(layer.prefix()), old) for layer, old in zip(prefixes, kept, strict=True))
    out = model.train()(example(model))
    (out if isinstance(out, Tensor) else out.logits).square().mean().backward()
    torch.optim.AdamW(adapters.parameters()).step()
    model.eval()
    result = run(model, example(model))
    save_adapters(adapters, tmp_path)
    fresh = build(name)
    assert load_adapters(fresh, tmp_path).config == config
    assert torch.equal(run(fresh, example(model)), result)
    size = adapters.count()
    fold_prefix(adapters)
    assert adapters.count() < size
    torch.testing.assert_close(run(model, example(model)), result)


def test_what_lies_between_a_vit_attention_and_its_prefix_is_refused(build: Build, example: Callable) -> None:
    for name in ("vit", "timm_vit"):
        model = build(name)
        attach(model, PrefixConfig(length=2), "prefix")
        attach(model, ConvpassConfig(r=2, parts=("attention",)), "inside")
        with pytest.raises(ValueError, match="a ConvpassLayer lies between a prefix and its attention"):
            model(example(model))
        model = build(name)
        attach(model, ConvpassConfig(r=2, parts=("attention",)), "outside")
        attach(model, PrefixConfig(length=2), "prefix")
        model(example(model))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda build: PrefixConfig(length=0), "length=0 must be a whole number, at least 1"),
        (lambda build: PrefixConfig(bottleneck=-1), "bottleneck=-1 must be"),
        (lambda build: attach(build("efficientnet"), PrefixConfig()), "has no attention: a prefix needs"),
        (
            lambda build: attach(
                convert_attention(build("llama"), AttnMoEConfig(num_experts=2, top_k=1)), PrefixConfig()
            ),
            "has a AttentionMoE: a prefix needs",
        ),
        (lambda build: attach(build("llama"), PrefixConfig()).merge(), "PrefixLayer is not linear"),
    ],
)
def test_refusals(make: Callable, message: str, build: Build) -> None:
    with pytest.raises(ValueError, match=message):
        make(build)


def test_masks_of_other_implementations_are_refused(build: Build) -> None:
    model = build("llama")
    layer = first(attach(model, PrefixConfig()))
    x = torch.zeros(1, 2, 32)
    with pytest.raises(ValueError, match="set_attn_implementation"):
        layer(hidden_states=x, attention_mask=torch.ones(1, 2), position_embeddings=(x, x))
