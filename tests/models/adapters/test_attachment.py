import copy
from collections.abc import Callable
from typing import Any

import peft
import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import adapter_sets, attach
from sparsebench.models.adapters.config import AdapterConfig, CombinedConfig
from sparsebench.models.adapters.kinds.bottleneck import BottleneckConfig
from sparsebench.models.adapters.kinds.conv import ConvConfig
from sparsebench.models.adapters.kinds.lora import LoRAConfig
from sparsebench.models.anatomy import Anatomy, describe
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.attention.config import AttnMoEConfig
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert

from ..conftest import ENCODER
from .conftest import vit

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


def test_tied_head_stays_frozen(build: Build) -> None:
    model = build("llama")
    model.lm_head.weight = model.model.embed_tokens.weight
    adapters = attach(model, LoRAConfig())
    assert adapters.heads == () and not model.lm_head.weight.requires_grad


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


def test_seed_decides_the_weights(build: Build) -> None:
    def draw(seed: int) -> Tensor:
        return next(iter(attach(build("llama"), LoRAConfig(seed=seed)).weights().values()))

    assert torch.equal(draw(0), draw(0)) and not torch.equal(draw(0), draw(1))


@pytest.mark.parametrize(
    ("family", "config", "message"),
    [
        ("efficientnet", LoRAConfig(), "finds no target in EfficientNet"),
        ("efficientnet", BottleneckConfig(), "use ConvConfig"),
        ("llama", LoRAConfig(r=99), "r=99 exceeds 32"),
        ("llama", LoRAConfig(blocks=3), "blocks=3 exceeds the 2 blocks"),
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
        (lambda: LoRAConfig(init="kaiming"), "init='kaiming' is not one of"),
    ],
)
def test_bad_configurations(make: Callable, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_refusals(build: Build) -> None:
    model = build("timm_vit")
    adapters = attach(model, BottleneckConfig(r=4))
    with pytest.raises(ValueError, match="carries adapters named 'default' already"):
        attach(model, LoRAConfig())
    with pytest.raises(ValueError, match="missing"):
        adapters.load_state_dict({})


def test_a_head_that_cannot_train_is_refused_before_anything_changes(build: Build) -> None:
    model = build("vit")
    model.classifier.weight = nn.Parameter(torch.ones(3, 32, dtype=torch.int8), requires_grad=False)
    before, flags = list(model.named_modules()), [parameter.requires_grad for parameter in model.parameters()]
    with pytest.raises(ModelError, match=r"classifier holds weights that cannot train .*train_head=False"):
        attach(model, LoRAConfig(r=2))
    assert list(model.named_modules()) == before and not adapter_sets(model)
    assert [parameter.requires_grad for parameter in model.parameters()] == flags
    attach(model, LoRAConfig(r=2, train_head=False))


@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing`:FutureWarning")  # PEFT asks transformers
def test_a_set_goes_into_a_model_of_peft(build: Build, example: Callable) -> None:
    model = build("llama")
    wrapped: Any = peft.get_peft_model(model, peft.LoraConfig(target_modules=["up_proj"], init_lora_weights=False))
    wrapped.eval()
    before = wrapped(example(model)).logits
    adapters = attach(wrapped, LoRAConfig(r=2, init="normal"), "ours")
    assert adapter_sets(wrapped) == adapter_sets(model) == {"ours": adapters}
    assert next(place for place, _ in adapters.layers()) == "model.layers.0.self_attn.q_proj"
    assert not torch.equal(wrapped(example(model)).logits, before)
    adapters.remove()
    assert torch.equal(wrapped(example(model)).logits, before)


def distilled(library: str) -> nn.Module:
    """A tiny DeiT whose prediction is the mean of two heads."""
    if library == "timm":
        return vit("deit_tiny_distilled_patch16_224")
    config = transformers.DeiTConfig(**ENCODER, image_size=32, patch_size=16, num_labels=3)
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
