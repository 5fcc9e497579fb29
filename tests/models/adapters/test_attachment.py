import copy
from collections.abc import Callable

import pytest
import timm
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import attach
from sparsebench.models.adapters.config import AdapterConfig, CombinedConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.anatomy import Anatomy, describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert

Build = Callable[[str], nn.Module]
TRANSFORMERS = ("llama", "qwen3", "bert", "roberta", "vit", "timm_vit", "mixtral")
CONFIGS = {
    "lora": LoRAConfig(r=4, alpha=8),
    "lora_linears": LoRAConfig(r=4, targets=("linears",)),
    "sequential": BottleneckConfig(r=6),
    "parallel": BottleneckConfig(r=6, placement="parallel", scale=4.0),
    "houlsby": BottleneckConfig(r=6, placement="houlsby", norm="in", scale="learned"),
    "pfeiffer": BottleneckConfig(r=6, placement="pfeiffer"),
    "combined": CombinedConfig(parts=(BottleneckConfig(r=6), LoRAConfig(r=4))),
    "conv": ConvConfig(r=4),
}


@pytest.mark.parametrize("name", [*TRANSFORMERS, "efficientnet"])
def test_the_anatomy_sees_through_adapters(name: str, build: Build, subtests: pytest.Subtests) -> None:
    plain = describe(build(name))
    kinds = CONFIGS.keys() - {"conv"}
    if name == "efficientnet":
        kinds = {"conv", "lora_linears"}
    for kind in sorted(kinds):
        with subtests.test(kind=kind):
            model = build(name)
            attach(model, CONFIGS[kind])
            check_view(plain, describe(model))


def check_view(plain: Anatomy, seen: Anatomy) -> None:
    for old, new in zip(plain.blocks, seen.blocks, strict=True):
        assert [type(s.get()) for s in new.linears] == [type(s.get()) for s in old.linears]
        assert [type(s.get()) for s in new.norms] == [type(s.get()) for s in old.norms]
        assert (new.mlp is None) == (old.mlp is None)
        if old.mlp is not None and new.mlp is not None:
            assert (new.mlp.kind, new.mlp.width, new.mlp.hidden) == (old.mlp.kind, old.mlp.width, old.mlp.hidden)


VIT_B = {"depth": 12, "embed_dim": 768, "num_heads": 12}
VIT_S = {"depth": 12, "embed_dim": 384, "num_heads": 6}


@pytest.mark.parametrize(
    ("size", "config", "count"),
    [
        (VIT_B, BottleneckConfig(r=4), 82_992),
        (VIT_B, BottleneckConfig(r=8), 156_768),
        (VIT_B, BottleneckConfig(r=64, placement="parallel"), 1_189_632),
        (VIT_B, LoRAConfig(r=8), 294_912),
        (VIT_B, LoRAConfig(r=8, targets=("q", "k", "v")), 442_368),
        (VIT_S, BottleneckConfig(r=4), 41_520),
        (VIT_S, BottleneckConfig(r=8), 78_432),
        (VIT_S, BottleneckConfig(r=8, blocks=3), 78_432 // 4),
    ],
)
def test_published_parameter_counts(size: dict, config: AdapterConfig, count: int) -> None:
    with torch.device("meta"):
        model = timm.create_model("vit_base_patch16_224", num_classes=10, **size)
    adapters = attach(model, config)
    assert adapters.count() == count
    head = (size["embed_dim"] + 1) * 10
    assert adapters.count(head=True) == count + head == count_parameters(model).trainable


@pytest.mark.parametrize("name", TRANSFORMERS)
@pytest.mark.parametrize("targets", [("q", "v"), ("linears",)])
def test_merge(name: str, targets: tuple, build: Build, example: Callable, run: Callable) -> None:
    model = build(name)
    names, batch = list(model.state_dict()), example(model)
    base = run(model, batch)
    adapters = attach(model, LoRAConfig(r=4, alpha=8, targets=targets, init="normal"))
    for parameter in adapters.weights().values():
        parameter.data.mul_(10)
    adapted = run(model, batch)
    assert not torch.allclose(adapted, base, atol=1e-3)
    assert adapters.merge() is model and list(model.state_dict()) == names
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-5, rtol=1e-4)


def test_merge_of_pointwise_convolutions(build: Build, example: Callable, run: Callable) -> None:
    model = build("efficientnet")
    adapters = attach(model, LoRAConfig(r=4, targets=("linears",), init="normal"))
    batch, adapted = example(model), run(model, example(model))
    adapters.merge()
    torch.testing.assert_close(run(model, batch), adapted, atol=1e-5, rtol=1e-4)


def test_lora_equals_the_formula(build: Build) -> None:
    """On a fused qkv matrix: q and v each get their own pair, k none."""
    block = describe(build("timm_vit")).blocks[0]
    assert block.attention is not None and block.attention.qkv is not None
    base = block.attention.qkv.get().double()
    config = LoRAConfig(r=4, alpha=12, init="normal")
    (_, layer), *_ = config.place_in(block, torch.Generator().manual_seed(0))
    x = torch.randn(3, 5, 32, dtype=torch.float64)
    down, up = [d.weight for d in layer.lora_A], [u.weight for u in layer.lora_B]
    update = torch.cat((up[0] @ down[0], torch.zeros(32, 32).double(), up[1] @ down[1]))
    torch.testing.assert_close(layer(x), base(x) + 3 * x @ update.T)


def test_frozen_batch_norm_stays_in_eval_mode(build: Build) -> None:
    model = build("efficientnet")
    adapters = attach(model, ConvConfig())
    model.train()
    norms = [module for module in model.modules() if isinstance(module, nn.BatchNorm2d)]
    assert len(norms) == 49 and not any(norm.training for norm in norms)
    adapters.remove()
    model.train()
    assert all(norm.training for norm in norms)


def test_nothing_before_the_first_adapted_block_builds_a_graph(build: Build, example: Callable) -> None:
    model = build("timm_vit")
    attach(model, LoRAConfig(blocks=1))
    seen = []
    for block in model.blocks:
        block.register_forward_hook(lambda module, args, out: seen.append(out.requires_grad))
    model(example(model))
    assert seen == [False, True]


def test_tied_head_stays_frozen(build: Build) -> None:
    model = build("llama")
    model.lm_head.weight = model.model.embed_tokens.weight
    adapters = attach(model, LoRAConfig())
    assert adapters.heads == () and not model.lm_head.weight.requires_grad


def test_head_can_be_frozen(build: Build) -> None:
    model = build("timm_vit")
    attach(model, LoRAConfig(train_head=False))
    assert not model.head.weight.requires_grad


def test_adapters_on_a_converted_model(build: Build, example: Callable, run: Callable) -> None:
    model = convert(build("bert"), MoEConfig())
    batch, before = example(model), run(model, example(model))
    for config in (
        BottleneckConfig(r=4),
        BottleneckConfig(r=4, placement="parallel"),
        BottleneckConfig(r=4, placement="pfeiffer"),
        BottleneckConfig(r=4, placement="houlsby"),
        LoRAConfig(targets=("linears",)),
    ):
        adapters = attach(model, config)
        assert torch.equal(run(model, batch), before)
        adapters.remove()


def test_attention_experts_have_no_output_projection(build: Build) -> None:
    attn = AttnMoEConfig(num_experts=2, top_k=1)
    model = convert(build("llama"), MoEConfig(num_experts=2, top_k=1, attn=attn))
    with pytest.raises(ValueError, match="has no output projection of an attention: choose another placement"):
        attach(model, BottleneckConfig(r=4, placement="houlsby"))
    attach(model, BottleneckConfig(r=4, placement="pfeiffer"))


def test_bf16(build: Build, example: Callable, run: Callable) -> None:
    model = build("llama").bfloat16()
    adapters = attach(model, LoRAConfig(init="normal"))
    assert {weight.dtype for weight in adapters.weights().values()} == {torch.float32}
    assert run(model, example(model)).dtype == torch.bfloat16


def test_seed_decides_the_weights(build: Build) -> None:
    def draw(seed: int) -> Tensor:
        return next(iter(attach(build("llama"), LoRAConfig(seed=seed)).weights().values()))

    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


def test_attaching_draws_nothing_from_the_global_generator(build: Build) -> None:
    model, state = build("bert"), torch.random.get_rng_state()
    attach(model, BottleneckConfig(r=4))
    assert torch.equal(torch.random.get_rng_state(), state)


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("efficientnet", LoRAConfig(), "finds no target in EfficientNet"),
        ("efficientnet", BottleneckConfig(), "use ConvConfig"),
        ("timm_vit", ConvConfig(), "use BottleneckConfig or LoRAConfig"),
        ("llama", LoRAConfig(r=99), "r=99 exceeds 32"),
        ("llama", LoRAConfig(blocks=3), "blocks=3 exceeds the 2 blocks"),
        ("bert", BottleneckConfig(blocks=5), "blocks=5 exceeds the 2 blocks"),
        ("bert", LoRAConfig(targets=("gate",)), "finds no target in BertForSequenceClassification"),
        ("llama", CombinedConfig(parts=(LoRAConfig(r=2), LoRAConfig(r=3))), "puts two adapters at model.layers.0"),
        ("llama", CombinedConfig(parts=(BottleneckConfig(), LoRAConfig(r=99))), "r=99 exceeds 32"),
    ],
)
def test_errors_leave_the_model_alone(family: str, config: AdapterConfig, message: str, build: Build) -> None:
    model = build(family)
    before = list(model.named_modules())
    with pytest.raises(ValueError, match=message):
        attach(model, config)
    assert list(model.named_modules()) == before
    assert all(parameter.requires_grad for parameter in model.parameters())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: LoRAConfig(targets=("querry",)), "targets='querry' is not one of"),
        (lambda: LoRAConfig(r=0), "r=0 must be a whole number, at least 1"),
        (lambda: LoRAConfig(blocks=0), "blocks=0 must be"),
        (lambda: LoRAConfig(blocks=True), "blocks=True must be"),
        (lambda: LoRAConfig(init="kaiming"), "init='kaiming' is not one of"),
        (lambda: CombinedConfig(parts=()), "must be one or more adapter configurations"),
        (lambda: CombinedConfig(parts=(LoRAConfig(), "lora")), "must be one or more adapter configurations"),
        (lambda: CombinedConfig(parts=(LoRAConfig(),), blocks=2), "blocks=2 of several parts"),
        (lambda: BottleneckConfig(placement="paralel"), "did you mean 'parallel'"),
        (lambda: BottleneckConfig(init="zero"), "did you mean 'zero_up'"),
        (lambda: ConvConfig(activation="glu"), "did you mean 'gelu'"),
    ],
)
def test_bad_configurations(make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_refusals(build: Build) -> None:
    model = build("timm_vit")
    adapters = attach(model, BottleneckConfig(r=4))
    with pytest.raises(ValueError, match="cannot be merged"):
        adapters.merge()
    with pytest.raises(ValueError, match="carries adapters named 'default' already"):
        attach(model, LoRAConfig())
    with pytest.raises(ValueError, match="missing"):
        adapters.load_state_dict({})


def distilled(library: str) -> nn.Module:
    """A tiny DeiT whose prediction is the mean of two heads."""
    if library == "timm":
        return timm.create_model(
            "deit_tiny_distilled_patch16_224", img_size=32, embed_dim=32, depth=1, num_heads=4, num_classes=3
        )
    config = transformers.DeiTConfig(
        hidden_size=32,
        intermediate_size=50,
        num_hidden_layers=1,
        num_attention_heads=4,
        image_size=32,
        patch_size=16,
        num_labels=3,
    )
    return transformers.DeiTForImageClassificationWithTeacher(config)


@pytest.mark.parametrize("library", ["timm", "transformers"])
def test_all_heads_whose_mean_is_the_prediction_train(library: str, run: Callable) -> None:
    model = distilled(library).eval()
    batch = torch.randn(2, 3, 32, 32, generator=torch.Generator().manual_seed(0))
    adapters = attach(model, LoRAConfig(r=2))
    heads = [site.path for site in describe(model).heads]
    assert len(heads) == 2
    assert adapters.count(head=True) - adapters.count() == 2 * (32 * 3 + 3)
    before = copy.deepcopy(adapters.state_dict())
    optimizer = torch.optim.SGD(adapters.parameters(), lr=1.0)
    out = model(batch)
    (out if isinstance(out, Tensor) else out.logits).square().sum().backward()
    optimizer.step()
    after = adapters.state_dict()
    for head in heads:
        assert not torch.equal(after[f"{head}.weight"], before[f"{head}.weight"]), f"{head} is frozen"
    trained = run(model, batch)
    adapters.load_state_dict(before)
    assert not torch.equal(run(model, batch), trained)
    adapters.load_state_dict(after)
    adapters.remove()
    assert all(parameter.requires_grad for parameter in model.parameters())
