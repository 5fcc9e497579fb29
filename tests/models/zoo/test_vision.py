"""Every vision family, one row for each class: what a transform does to it is exact, or is refused with a reason."""

from collections.abc import Callable
from functools import cache, partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import timm
import torch
import transformers
from timm.models._efficientnet_builder import decode_arch_def
from timm.models.convnext import ConvNeXt
from timm.models.efficientnet import EfficientNet
from timm.models.eva import Eva
from timm.models.mobilenetv3 import MobileNetV3
from timm.models.resnet import BasicBlock, Bottleneck, ResNet
from timm.models.swin_transformer import SwinTransformer
from timm.models.vision_transformer import ParallelScalingBlock
from torch import Tensor, nn

from sparsebench.models.adapters import BottleneckConfig, ConvConfig, LoRAConfig, PrefixConfig, attach
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.convpass import ConvpassConfig
from sparsebench.models.adapters.kinds.fact import FacTConfig
from sparsebench.models.adapters.kinds.parameter_tuning import BitFitConfig, NormTuningConfig
from sparsebench.models.adapters.kinds.prompts import PromptConfig
from sparsebench.models.adapters.kinds.rep_adapter import RepAdapterConfig
from sparsebench.models.adapters.kinds.shared_parallel import StreamConfig
from sparsebench.models.adapters.kinds.ssf import SSFConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.counting import count_parameters
from sparsebench.models.errors import ModelError
from sparsebench.models.moe.config import MoEConfig
from sparsebench.models.moe.conversion.convert import convert
from sparsebench.models.moe.conversion.restoration import to_dense
from sparsebench.models.moe.routing.probe import routing_probe

KINDS: dict[str, AdapterConfig] = {
    "linears": LoRAConfig(r=2, targets=("linears",), train_head=False),
    "q, v": LoRAConfig(r=2, train_head=False),
    "bottleneck": BottleneckConfig(r=2, placement="houlsby", train_head=False),
    "parallel": BottleneckConfig(r=2, placement="parallel", train_head=False),
    "conv": ConvConfig(r=2, train_head=False),
    "convpass": ConvpassConfig(r=2, train_head=False),
    "rep": RepAdapterConfig(r=2, train_head=False),
    "fact": FacTConfig(r=2, train_head=False),
    "stream": StreamConfig(r=2, train_head=False),
    "ssf": SSFConfig(train_head=False),
    "biases": BitFitConfig(train_head=False),
    "norms": NormTuningConfig(train_head=False),
    "prefix": PrefixConfig(length=2, train_head=False),
    "prompts": PromptConfig(length=2, train_head=False),
    "one prompt": PromptConfig(length=2, depth="shallow", train_head=False),
}
CHANGE_AT_ONCE = {"prefix", "prompts", "one prompt"}
ALL = set(KINDS)
ON_TOKENS = ALL - {"conv"}
ON_WINDOWS = {"linears", "q, v", "bottleneck", "parallel", "rep", "ssf", "biases", "norms"}
ON_MAPS = {"linears", "conv", "ssf", "norms", "biases"}
AFTER_BLOCKS = {"conv", "ssf", "norms"}


class Row(NamedTuple):
    """How a class is built, which kinds of adapters it takes, its heads, and why it cannot be converted, if so."""

    build: Callable[[], nn.Module]
    kinds: set[str]
    heads: tuple[str, ...] = ()
    refusal: str = ""
    blocks: int = 2
    size: tuple[int, int] = (32, 64)


HF = {"hidden_size": 16, "num_hidden_layers": 2, "num_attention_heads": 2, "patch_size": 16, "image_size": (32, 64)}
SQUARE = HF | {"image_size": 32, "intermediate_size": 24}
DINO = HF | {"mlp_ratio": 2, "image_size": 32}  # positions are interpolated for other images
SWIN = {
    "embed_dim": 8,
    "depths": (1, 2),
    "num_heads": (2, 2),
    "window_size": 2,
    "patch_size": 4,
    "image_size": (32, 64),
    "mlp_ratio": 2.0,
}
DUAL_TEXT = SQUARE | {"vocab_size": 32, "max_position_embeddings": 8}
TIMM = {"img_size": (32, 64), "patch_size": 16, "embed_dim": 16, "depth": 2, "num_heads": 2, "num_classes": 3}
EVA = TIMM | {"mlp_ratio": 2}
CONVNEXT = {"depths": (1, 1, 1, 1), "dims": (8, 8, 16, 16), "num_classes": 3, "ls_init_value": 0.5}
CNN = {"channels": (8, 8, 8, 8), "stem_width": 8, "num_classes": 3}
UNITS = [["ds_r1_k3_s1_e1_c8"], ["er_r1_k3_s2_e2_c8"], ["ir_r1_k3_s1_e2_c8_se0.25"], ["cn_r1_k3_s1_c8"]]
V3_UNITS = [["ds_r1_k3_s1_e1_c8_nre"], ["ir_r1_k5_s2_e2_c8_se0.25"], ["uir_r1_a3_k3_s1_e2_c8"], ["cn_r1_k1_s1_c8"]]


def hf(name: str, config: str, **sizes: Any) -> nn.Module:
    settings = getattr(transformers, config)(**sizes, num_labels=3)
    return getattr(transformers, name)(settings)


def dual(library: str) -> nn.Module:
    """Both towers, called with images alone where the texts are fixed."""
    vision = SQUARE
    config = getattr(transformers, f"{library}Config")(text_config=DUAL_TEXT, vision_config=vision, projection_dim=8)
    return getattr(transformers, f"{library}Model")(config)


def dual_classifier(library: str) -> nn.Module:
    config = getattr(transformers, f"{library}Config")(text_config=DUAL_TEXT, vision_config=SQUARE, num_labels=3)
    return getattr(transformers, f"{library}ForImageClassification")(config)


def vit(name: str = "vit_tiny_patch16_224", **options: Any) -> nn.Module:
    return timm.create_model(name, **(TIMM | options))


def mobile(cls: type[nn.Module], units: list[list[str]], **options: Any) -> nn.Module:
    return cls(decode_arch_def(units), stem_size=8, num_features=16, num_classes=3, **options)


SQUARE_SIZE = (32, 32)
NO_FFN = "has no feed-forward layer to convert"
CONVOLUTIONAL = "convolutional block: only gated and plain FFNs"
ROWS = {
    "ViT": Row(
        partial(hf, "ViTForImageClassification", "ViTConfig", **HF, intermediate_size=24),
        ON_TOKENS - {"fact"},
        ("classifier",),
    ),
    "DeiT": Row(
        partial(hf, "DeiTForImageClassification", "DeiTConfig", **HF, intermediate_size=32), ON_TOKENS, ("classifier",)
    ),
    "DeiT bare": Row(partial(hf, "DeiTModel", "DeiTConfig", **HF, intermediate_size=32), ON_TOKENS),
    "DeiT distilled": Row(
        partial(hf, "DeiTForImageClassificationWithTeacher", "DeiTConfig", **HF, intermediate_size=32),
        ON_TOKENS,
        ("cls_classifier", "distillation_classifier"),
    ),
    "DINOv2": Row(partial(hf, "Dinov2ForImageClassification", "Dinov2Config", **DINO), ON_TOKENS, ("classifier",)),
    "DINOv2 gated": Row(partial(hf, "Dinov2Model", "Dinov2Config", **DINO, use_swiglu_ffn=True), ON_TOKENS - {"fact"}),
    "DINOv2 registers": Row(
        partial(hf, "Dinov2WithRegistersForImageClassification", "Dinov2WithRegistersConfig", **DINO),
        ON_TOKENS,
        ("classifier",),
    ),
    "DINOv2 registers bare": Row(
        partial(hf, "Dinov2WithRegistersModel", "Dinov2WithRegistersConfig", **DINO), ON_TOKENS
    ),
    "CLIP": Row(partial(hf, "CLIPVisionModel", "CLIPVisionConfig", **SQUARE), ON_TOKENS - {"fact"}, size=SQUARE_SIZE),
    "CLIP projected": Row(
        partial(hf, "CLIPVisionModelWithProjection", "CLIPVisionConfig", **SQUARE),
        ON_TOKENS - {"fact"},
        size=SQUARE_SIZE,
    ),
    "CLIP classifier": Row(partial(dual_classifier, "CLIP"), ON_TOKENS - {"fact"}, ("classifier",), size=SQUARE_SIZE),
    "CLIP of both": Row(partial(dual, "CLIP"), ON_TOKENS - {"fact"}, size=SQUARE_SIZE),
    "SigLIP": Row(
        partial(hf, "SiglipVisionModel", "SiglipVisionConfig", **SQUARE),
        ON_TOKENS - {"fact", "biases"},
        size=SQUARE_SIZE,
    ),
    "SigLIP classifier": Row(
        partial(dual_classifier, "Siglip"), ON_TOKENS - {"fact", "biases"}, ("classifier",), size=SQUARE_SIZE
    ),
    "SigLIP of both": Row(partial(dual, "Siglip"), ON_TOKENS - {"fact", "biases"}, size=SQUARE_SIZE),
    "Swin": Row(partial(hf, "SwinForImageClassification", "SwinConfig", **SWIN), ON_WINDOWS, ("classifier",), blocks=3),
    "Swin bare": Row(partial(hf, "SwinModel", "SwinConfig", **SWIN), ON_WINDOWS, blocks=3),
    "Swin masked": Row(
        partial(hf, "SwinForMaskedImageModeling", "SwinConfig", **SWIN | {"image_size": 32, "encoder_stride": 8}),
        ON_WINDOWS,
        ("decoder",),
        blocks=3,
        size=SQUARE_SIZE,
    ),
    "timm ViT": Row(vit, ON_TOKENS, ("head",)),
    "timm DeiT distilled": Row(partial(vit, "deit_tiny_distilled_patch16_224"), ON_TOKENS, ("head", "head_dist")),
    "timm ViT packed": Row(partial(vit, mlp_layer=timm.layers.SwiGLUPacked), ON_TOKENS, ("head",)),
    "timm ViT normed FFN": Row(
        partial(vit, mlp_layer=timm.layers.Mlp, scale_mlp_norm=True), ON_TOKENS, ("head",), "parameters outside"
    ),
    "timm ViT parallel": Row(
        partial(vit, "vit_small_patch16_18x2_224", num_heads=2), ON_TOKENS - {"stream"}, ("head",), blocks=4
    ),
    "timm ViT fused": Row(
        partial(vit, block_fn=ParallelScalingBlock),
        {"linears", "fact", "ssf", "biases", "norms", "prompts", "one prompt"},
        ("head",),
        NO_FFN,
    ),
    "timm ViT differential": Row(partial(vit, attn_layer="diff"), ON_TOKENS - {"prefix"}, ("head",)),
    "timm EVA": Row(partial(Eva, **EVA), ON_TOKENS - {"prefix", "linears", "q, v", "rep", "fact", "ssf"}, ("head",)),
    "timm EVA called": Row(
        partial(Eva, **EVA, attn_type="rope", use_rot_pos_emb=True, swiglu_mlp=True),
        ON_TOKENS - {"prefix", "prompts", "one prompt"},
        ("head",),
    ),
    "timm EVA-02": Row(
        partial(Eva, **EVA, qkv_fused=False, swiglu_mlp=True, scale_mlp=True, use_rot_pos_emb=True, init_values=0.5),
        ON_TOKENS - {"prefix", "prompts", "one prompt", "stream"},
        ("head",),
        "parameters outside",
    ),
    "timm Swin": Row(
        partial(
            SwinTransformer,
            img_size=(32, 64),
            window_size=2,
            embed_dim=8,
            depths=(1, 2),
            num_heads=(2, 2),
            mlp_ratio=2,
            num_classes=3,
        ),
        ON_WINDOWS,
        ("head.fc",),
        blocks=3,
    ),
    "timm ConvNeXt": Row(
        partial(ConvNeXt, **CONVNEXT),
        {"linears", "parallel", "conv", "ssf", "biases", "norms"},
        ("head.fc",),
        blocks=4,
    ),
    "timm ConvNeXt of convolutions": Row(
        partial(ConvNeXt, **CONVNEXT, conv_mlp=True), ON_MAPS, ("head.fc",), CONVOLUTIONAL, blocks=4
    ),
    "timm ConvNeXt V2": Row(
        partial(ConvNeXt, **CONVNEXT, use_grn=True),
        {"linears", "parallel", "conv", "ssf", "biases", "norms"},
        ("head.fc",),
        "parameters outside",
        blocks=4,
    ),
    "timm ResNet": Row(
        partial(ResNet, BasicBlock, (1, 1, 1, 1), **CNN), AFTER_BLOCKS | {"biases"}, ("fc",), NO_FFN, blocks=4
    ),
    "timm ResNeXt": Row(
        partial(ResNet, Bottleneck, (1, 1, 1, 1), **CNN, cardinality=2, base_width=32),
        ON_MAPS,
        ("fc",),
        NO_FFN,
        blocks=4,
    ),
    "timm EfficientNetV2": Row(partial(mobile, EfficientNet, UNITS), ON_MAPS, ("classifier",), CONVOLUTIONAL, blocks=4),
    "timm MobileNetV3": Row(partial(mobile, MobileNetV3, V3_UNITS), ON_MAPS, ("classifier",), CONVOLUTIONAL, blocks=4),
}
SAME_TOWER = {
    "DeiT bare",
    "DeiT distilled",
    "CLIP projected",
    "CLIP classifier",
    "CLIP of both",
    "SigLIP classifier",
    "SigLIP of both",
    "DINOv2 registers bare",
    "Swin bare",
    "Swin masked",
    "timm ViT normed FFN",
    "timm ConvNeXt V2",
}
"""Rows whose blocks are those of another row: only kinds that depend on more than blocks are attached again."""
AGAIN = {"linears", "ssf", "convpass"}


def kinds_of(name: str) -> set[str]:
    """The kinds of adapters that are attached to a row."""
    return ROWS[name].kinds & AGAIN if name in SAME_TOWER else ROWS[name].kinds


REFUSED = [(name, kind) for name, row in ROWS.items() for kind in KINDS if kind not in row.kinds]
OUTPUTS = ("logits", "reconstruction", "logits_per_image", "image_embeds", "last_hidden_state", "pooler_output")


@cache
def state(name: str) -> dict[str, Tensor]:
    """Weights, norms and biases included, that are large enough for every one of them to matter."""
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = ROWS[name].build().double()
    generator = torch.Generator().manual_seed(0)
    for parameter in model.parameters():
        parameter.data += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.2
    return model.state_dict()


def build(name: str) -> nn.Module:
    """A tiny model in float64 and eval mode, the same at each call."""
    with torch.random.fork_rng():
        model = ROWS[name].build().double().eval()
    model.load_state_dict(state(name))
    return model


def outputs(name: str, model: nn.Module) -> Tensor:
    """All that a model gives for two images, in one row."""
    images = torch.randn(2, 3, *ROWS[name].size, generator=torch.Generator().manual_seed(1), dtype=torch.float64)
    if name.endswith("of both"):
        result = model(input_ids=torch.arange(10).view(2, 5), pixel_values=images)
    else:
        result = model(images)
    if isinstance(result, Tensor):
        return result.flatten()
    found = [getattr(result, field, None) for field in OUTPUTS]
    return torch.cat([value.flatten() for value in found if value is not None])


def close(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, atol=1e-11, rtol=1e-10)


@cache
def live(name: str) -> set[str]:
    """Names of the parameters that the outputs depend on."""
    model = build(name)
    outputs(name, model).square().sum().backward()
    found: set[str] = set()
    for path, parameter in model.named_parameters():
        if parameter.grad is not None and parameter.grad.abs().max() > 1e-9:
            found.add(path)
    return found


def is_shortcut_or_gate(path: str) -> bool:
    return any(part in ("se", "downsample", "shortcut") for part in path.split("."))


@pytest.mark.parametrize("name", ROWS)
def test_the_view_holds_every_linear_layer_convolution_and_head(name: str) -> None:
    model = build(name)
    anatomy = describe(model)
    row = ROWS[name]
    assert len(anatomy.blocks) == row.blocks
    assert tuple(site.path for site in anatomy.heads) == row.heads
    seen: set[int] = set()
    there: set[int] = set()
    for block in anatomy.blocks:
        assert block.norms
        seen |= {id(site.get()) for site in (*block.linears, *block.convs)}
        for path, module in block.site.get().named_modules():
            if isinstance(module, nn.Linear | nn.Conv2d) and not is_shortcut_or_gate(path):
                there.add(id(module))
    assert seen == there


@pytest.mark.parametrize("name", ROWS)
def test_conversion_with_all_experts_on_is_exact_and_goes_back_or_is_refused(name: str) -> None:
    model = build(name)
    with torch.no_grad():
        before = outputs(name, model)
    config = MoEConfig(num_experts=4, top_k=3, num_shared=1, score="none", scale="exact")
    if ROWS[name].refusal:
        with pytest.raises(ModelError, match=ROWS[name].refusal):
            convert(model, config)
        return
    with torch.no_grad():
        convert(model, config)
        close(outputs(name, model), before)
        assert sum(type(module).__name__ == "MoEFFN" for module in model.modules()) == ROWS[name].blocks
        counts = count_parameters(model)
        assert counts.total == sum(parameter.numel() for parameter in model.parameters())
        to_dense(model)
        assert all(torch.equal(value, state(name)[key]) for key, value in model.state_dict().items())
        convert(model, MoEConfig(num_experts=4, top_k=1))
        with routing_probe(model) as probe:
            assert (outputs(name, model) - before).abs().max() > 1e-6
        assert len(probe.layers) == ROWS[name].blocks
        for routing in probe.layers.values():
            assert routing.load.sum().item() == pytest.approx(1) and routing.tokens > 0
        assert count_parameters(model).active < count_parameters(model).total


@pytest.mark.parametrize("name", ROWS)
def test_adapters_are_exact_at_the_start_counted_and_all_of_them_act(name: str, subtests: pytest.Subtests) -> None:
    for kind in sorted(kinds_of(name)):
        with subtests.test(kind=kind):
            check_adapters(name, kind)


def check_adapters(name: str, kind: str) -> None:
    model = build(name)
    with torch.no_grad():
        before = outputs(name, model)
    adapters = attach(model, KINDS[kind])
    trained = adapters.parameters()
    assert adapters.count() == sum(parameter.numel() for parameter in trained) == count_parameters(model).trainable
    with torch.no_grad():
        if kind not in CHANGE_AT_ONCE:
            close(outputs(name, model), before)
        generator = torch.Generator().manual_seed(2)
        for parameter in trained:
            parameter += torch.randn(parameter.shape, generator=generator, dtype=parameter.dtype) * 0.1
    adapted = outputs(name, model)
    assert (adapted - before).abs().max() > 1e-6
    adapted.square().sum().backward()
    for place, layer in adapters.layers():
        kept = f"{place}.bias" if kind == "biases" else f"{place}."
        if any(path.startswith(kept) for path in live(name)):
            grads = [parameter.grad for _, parameter in layer.adapter_parameters()]
            assert any(grad is not None and grad.abs().max() > 1e-12 for grad in grads) or not grads, f"{place} is idle"
    adapters.remove()
    with torch.no_grad():
        close(outputs(name, model), before)


def named_in(message: str) -> list[AdapterConfig]:
    """The kinds that a message sends one to; nothing of EVA's own needs another kind, but a switch."""
    advice = message.rpartition("use ")[2]
    if "qkv_bias_separate" in message:
        advice = "BottleneckConfig"
    return [config for config in KINDS.values() if type(config).__name__ in advice]


def attaches(model: nn.Module, config: AdapterConfig) -> bool:
    """Whether a model takes adapters, which go again."""
    try:
        attach(model, config).remove()
    except ModelError:
        return False
    return True


@pytest.mark.parametrize("name", sorted({name for name, _ in REFUSED}))
def test_other_kinds_are_refused_untouched_with_a_way_out(name: str) -> None:
    model = build(name)
    before = [*model.state_dict()]
    for other, kind in REFUSED:
        if other == name:
            with pytest.raises(ModelError, match=r"use |choose ") as refused:
                attach(model, KINDS[kind])
            assert [*model.state_dict()] == before
            assert any(attaches(model, config) for config in named_in(str(refused.value))), refused.value


@pytest.mark.parametrize("name", ["timm ViT parallel", "DINOv2 gated", "Swin", "timm ConvNeXt"])
def test_a_construction_from_data_is_made_or_refused(name: str) -> None:
    """Stages that halve the image see different tokens."""
    model = build(name)
    images = torch.randn(2, 3, 32, 64, dtype=torch.float64)
    config = MoEConfig(num_experts=4, top_k=2, split="cmoe", num_shared=1)
    if name in ("Swin", "timm ConvNeXt"):
        with pytest.raises(ModelError, match=r"see \d+ to \d+ tokens of one batch.*split='random'"):
            convert(model, config, [images])
        assert [*model.state_dict()] == [*state(name)]
        return
    convert(model, config, [images])
    assert sum(type(module).__name__ == "MoEFFN" for module in model.modules()) == ROWS[name].blocks


def test_what_is_not_known_says_so() -> None:
    config = transformers.CLIPTextConfig(**{key: DUAL_TEXT[key] for key in ("hidden_size", "vocab_size")})
    for model, message in (
        (transformers.CLIPTextModel(config), "CLIPTextModel has no vision tower"),
        (timm.create_model("resnest14d"), "ResNestBottleneck of this ResNet, only BasicBlock and Bottleneck"),
        (timm.create_model("mobilenetv4_hybrid_medium"), "MobileAttention of this network"),
        (vit(mlp_layer=timm.layers.GluMlp), "gate_last=True"),
    ):
        with pytest.raises(ModelError, match=message):
            describe(model)


def test_the_heads_of_both_towers_stay_frozen_and_texts_are_left_alone() -> None:
    model = build("CLIP of both")
    adapters = attach(model, SSFConfig())
    assert all("vision" in place or place == "visual_projection" for place, _ in adapters.layers())
    assert adapters.count(head=True) == adapters.count()


def test_eva_takes_what_was_refused_once_it_calls_its_matrix() -> None:
    model = build("timm EVA")
    with pytest.raises(ModelError, match=r"blocks.0.attn.qkv.*qkv_bias_separate"):
        attach(model, KINDS["q, v"])
    with torch.no_grad():
        before = outputs("timm EVA", model)
        for block in model.blocks:
            block.attn.qkv_bias_separate = True
        adapters = attach(model, KINDS["q, v"])
        close(outputs("timm EVA", model), before)
        for parameter in adapters.parameters():
            parameter += 0.1
        assert (outputs("timm EVA", model) - before).abs().max() > 1e-6


@pytest.mark.parametrize("name", ROWS)
def test_a_part_goes_with_its_norms_or_is_refused(name: str) -> None:
    """What is left computes as if the part gave zeros to the sum."""
    for part in ("attention", "mlp"):
        model = build(name)
        block = describe(model).blocks[-1]
        view = getattr(block, part)
        if view is None or len(block.norms) != 2 or getattr(view, "kind", "") == "conv":
            with pytest.raises(ModelError):
                getattr(block, f"remove_{part}")()
            continue
        plain = build(name)
        of_zeros = plain.get_submodule(view.site.path)
        of_zeros.register_forward_hook(lambda module, args, out: zeros(out))
        getattr(block, f"remove_{part}")()
        with torch.no_grad():
            close(outputs(name, model), outputs(name, plain))
        left = describe(model).blocks[-1]
        assert getattr(left, part) is None and len(left.norms) == 1


def zeros(out: Any) -> Any:
    if isinstance(out, tuple):
        return (torch.zeros_like(out[0]), *out[1:])
    return torch.zeros_like(out)


@pytest.mark.parametrize("name", [name for name in ROWS if not name.startswith("timm")])
def test_a_converted_model_of_transformers_loads_as_it_was_saved(name: str, tmp_path: Path) -> None:
    model: Any = build(name)
    convert(model, MoEConfig(num_experts=4, top_k=1))
    model.save_pretrained(tmp_path)
    again = type(model).from_pretrained(tmp_path, dtype=torch.float64).eval()
    assert sum(type(module).__name__ == "MoEFFN" for module in again.modules()) == ROWS[name].blocks
    with torch.no_grad():
        close(outputs(name, again), outputs(name, model))
    if name.endswith("of both"):
        with pytest.raises(ModelError, match="save the whole model"):
            again.vision_model.save_pretrained(tmp_path)


@pytest.mark.parametrize("name", [name for name, row in ROWS.items() if "prefix" in row.kinds])
def test_an_attention_with_a_prefix_of_no_tokens_is_the_attention(name: str) -> None:
    model = build(name)
    for block in describe(model).blocks:
        attention = block.attention
        assert attention is not None and attention.prefixed is not None
        x = torch.randn(2, 5, 16, dtype=torch.float64)
        nothing = x.new_zeros(attention.num_kv_heads, 0, attention.head_dim)
        module = attention.site.get()
        with torch.no_grad():
            expected = module(x)
            found = attention.prefixed(module, nothing, nothing, x)
        if isinstance(expected, tuple):
            expected = expected[0]
            found = found[0]
        close(found, expected)
