"""Similarities against the formulas of the papers, in float64, on states that hooks of the plain model see."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.trimming.layer_drop import drop_layers, droppable_layers
from sparsebench.models.compression.trimming.similarity import (
    MeanCosine,
    attention_similarity,
    block_similarity,
    check_window,
    cosine,
    layer_similarity,
)
from sparsebench.models.errors import ModelError

from ...zoo.text_families import FAMILIES, MIXTURES, build, padded_inputs

DOUBLE = {"dtype": torch.float64}
PRE_NORM = ("Mixtral", "Olmoe", "Qwen2Moe", "DeepseekV3", "GptOss", "GraniteMoeShared")


def mixture(family: str) -> Any:
    return build(family, MIXTURES[family].names()[1])


def seen(model: nn.Module, batches: list[Any], module: nn.Module) -> tuple[Tensor, Tensor]:
    """What enters a module, and what leaves it, of the real tokens of all batches."""
    entered, left = [], []

    def look(module: nn.Module, args: tuple, keywords: dict, output: Any) -> None:
        x = args[0] if args else keywords["hidden_states"]
        y = output if isinstance(output, Tensor) else output[0]
        real = batch["attention_mask"].bool()
        entered.append(x[real])
        left.append(y[real])

    hook = module.register_forward_hook(look, with_kwargs=True)
    with torch.no_grad():
        for batch in batches:
            model(**batch)
    hook.remove()
    return torch.cat(entered), torch.cat(left)


def mean_cosine(a: Tensor, b: Tensor) -> float:
    return float(F.cosine_similarity(a, b, dim=-1).mean())


def padded(model: Any) -> list[dict[str, Tensor]]:
    """Two batches, of which each has a row that ends in padding."""
    first = padded_inputs(model)
    return [first, {"input_ids": first["input_ids"].flip(0), "attention_mask": first["attention_mask"]}]


@pytest.mark.parametrize("family", PRE_NORM)
def test_layers_by_both_formulas(family: str) -> None:
    """cos(x', x' + s M(Norm(x'))), with Granite's factor s of its branches, and cos(Norm(x'), M(Norm(x')))."""
    model = mixture(family)
    batches = padded(model)
    blocks = droppable_layers(model)
    residual = layer_similarity(model, batches, blocks, **DOUBLE)
    alone = layer_similarity(model, batches, blocks, metric="moe", **DOUBLE)
    assert list(residual) == list(alone) == blocks and len(blocks) >= 1
    for index in blocks:
        layer = model.model.layers[index]
        stream, normed = seen(model, batches, layer.post_attention_layernorm)
        mlp = describe(model).blocks[index].mlp
        assert mlp is not None and mlp.experts is not None
        _, out = seen(model, batches, mlp.site.get())
        out = out.view_as(normed)
        if family == "GraniteMoeShared":
            out = out + seen(model, batches, layer.shared_mlp)[1]
        scale = getattr(layer, "residual_multiplier", 1.0)
        assert residual[index] == pytest.approx(mean_cosine(stream, stream + scale * out), abs=1e-9)
        assert alone[index] == pytest.approx(mean_cosine(normed, out), abs=1e-9)


@pytest.mark.parametrize("family", ["Mixtral", "DeepseekV3", "GptOss"])
def test_attentions_by_the_formula(family: str) -> None:
    model = mixture(family)
    batches = padded(model)
    found = attention_similarity(model, batches, [0, 1], **DOUBLE)
    for index in (0, 1):
        layer = model.model.layers[index]
        stream, _ = seen(model, batches, layer.input_layernorm)
        after, _ = seen(model, batches, layer.post_attention_layernorm)
        assert found[index] == pytest.approx(mean_cosine(stream, after), abs=1e-9)


@pytest.mark.parametrize("family", ["Mixtral", "Gemma2", "XLMRoberta"])
def test_blocks_and_windows_by_the_hidden_states(family: str) -> None:
    model: Any = build(family, (FAMILIES | MIXTURES)[family].names()[1])
    batches = padded(model)
    sites = [block.site.get() for block in describe(model).blocks]
    states = [seen(model, batches, site) for site in sites]
    wanted = {index: mean_cosine(*pair) for index, pair in enumerate(states)}
    assert block_similarity(model, batches, **DOUBLE) == pytest.approx(wanted, abs=1e-12)
    both = {0: mean_cosine(states[0][0], states[1][1])}
    assert block_similarity(model, batches, window=2, **DOUBLE) == pytest.approx(both, abs=1e-12)


def test_a_block_that_normalises_sums_is_judged_by_what_its_cut_does() -> None:
    model: Any = build("XLMRoberta", "XLMRobertaForMaskedLM")
    batches = padded(model)
    index = 1
    found = layer_similarity(model, batches, [index], **DOUBLE)
    block = model.base_model.encoder.layer[index]
    before, _ = seen(model, batches, block.intermediate)
    _, after = seen(model, batches, block)
    assert found[index] == pytest.approx(mean_cosine(before, after), abs=1e-12)


@pytest.mark.parametrize("family", ["Mixtral", "Olmoe"])
def test_the_ranking_is_that_of_float64(family: str) -> None:
    """Invariant B13: single precision decides as double precision does."""
    model = mixture(family)
    batches = padded(model)
    for measure in (layer_similarity, attention_similarity):
        wide = measure(model, batches, [0, 1], **DOUBLE)
        narrow = measure(model, batches, [0, 1])
        assert sorted(narrow, key=narrow.__getitem__) == sorted(wide, key=wide.__getitem__)
        assert narrow == pytest.approx(wide, abs=1e-6) and narrow != wide


def test_images_of_a_vision_transformer(build: Callable[[str], nn.Module], example: Callable[..., Tensor]) -> None:
    model: Any = build("timm_vit").double()
    images = example(model).double()
    found = layer_similarity(model, [images], [0, 1], **DOUBLE)
    block = model.blocks[1]
    streams: list[Tensor] = []
    hook = block.norm2.register_forward_pre_hook(lambda module, args: streams.append(args[0]))
    with torch.no_grad():
        model(images)
        hook.remove()
        stream = streams[0]
        after = stream + block.mlp(block.norm2(stream))
    assert found[1] == pytest.approx(mean_cosine(stream, after), abs=1e-9)


def test_the_model_is_left_as_it_was() -> None:
    model = mixture("DeepseekV3").train()
    batches = padded(model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    modules = [(name, id(module), module.training) for name, module in model.named_modules()]
    layer_similarity(model, batches, [1], metric="moe")
    attention_similarity(model, batches, [0, 1])
    block_similarity(model, batches, window=2)
    assert modules == [(name, id(module), module.training) for name, module in model.named_modules()]
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())
    assert not any(module._forward_hooks or module._forward_pre_hooks for module in model.modules())


def test_what_was_dropped_before_has_no_similarity() -> None:
    model = mixture("Mixtral")
    batches = padded(model)
    drop_layers(model, [0])
    assert list(attention_similarity(model, batches, [0, 1])) == [0, 1]
    with pytest.raises(ModelError, match=r"layers\.0 has no FFN"):
        layer_similarity(model, batches, [0])
    with pytest.raises(ModelError, match=r"layers\.0 has no FFN"):
        layer_similarity(model, batches, [0], metric="moe")


def test_bad_input_is_refused() -> None:
    model = mixture("Mixtral")
    batches = padded(model)
    with pytest.raises(ModelError, match="did you mean 'norm_moe'"):
        layer_similarity(model, batches, [0], metric="norm_mo")  # type: ignore[arg-type]
    for window in (0, 3, 1.5, True):
        with pytest.raises(ModelError, match="must be a whole number from 1 to 2, the number of blocks"):
            block_similarity(model, batches, window=window)  # type: ignore[arg-type]
    check_window(2, 2)
    with torch.no_grad():
        model.model.layers[1].post_attention_layernorm.weight[0] = torch.nan
    with pytest.raises(ModelError, match=r"layers\.1 are NaN or infinite"):
        layer_similarity(model, batches, [1])


def pair(dtype: torch.dtype = torch.float64) -> tuple[Tensor, Tensor]:
    generator = torch.Generator().manual_seed(0)
    a = torch.randn(2, 5, 8, generator=generator, dtype=torch.float64)
    b = a + 0.3 * torch.randn(2, 5, 8, generator=generator, dtype=torch.float64)
    return a.to(dtype), b.to(dtype)


def test_the_mean_is_that_of_the_real_tokens_of_all_batches() -> None:
    a, b = pair()
    real = torch.tensor([[1, 1, 1, 0, 0], [1, 1, 1, 1, 1]]).bool()
    mean = MeanCosine(torch.float64)
    mean.add(a, b, real)
    mean.add(b, -a)
    wanted = torch.cat((F.cosine_similarity(a[real], b[real], dim=-1), F.cosine_similarity(b, -a, dim=-1).flatten()))
    assert mean.tokens == 18
    assert mean.value("here") == pytest.approx(float(wanted.mean()), abs=1e-15)


def test_narrow_states_are_compared_in_float32() -> None:
    a, b = pair(torch.bfloat16)
    mean = MeanCosine()
    mean.add(a, b)
    wanted = F.cosine_similarity(a.double(), b.double(), dim=-1).mean()
    assert mean.value("here") == pytest.approx(float(wanted), abs=1e-6)


def test_zeros_and_small_vectors() -> None:
    a = torch.tensor([[0.0, 0.0], [0.0, 0.0], [1e-30, 0.0], [3e-30, 4e-30]])
    b = torch.tensor([[0.0, 0.0], [1.0, 0.0], [1e-30, 0.0], [4e-30, 3e-30]])
    torch.testing.assert_close(cosine(a.double(), b.double()), torch.tensor([1.0, 0.0, 1.0, 0.96]).double())


def at_angle(cosine: float) -> tuple[Tensor, Tensor]:
    """Vectors of so large a cosine."""
    return torch.tensor([[[1.0, 0.0]]]).double(), torch.tensor([[[cosine, (1 - cosine**2) ** 0.5]]]).double()


def test_near_ones_tie_in_bfloat16_as_in_the_release_but_not_in_float32() -> None:
    """The released code sorts cosines in bfloat16, which lie 0.0039 apart near 1: ties, in the order of chance."""
    found: dict[torch.dtype, list[float]] = {torch.bfloat16: [], torch.float32: []}
    for value in (0.9945, 0.9975):
        for dtype, means in found.items():
            mean = MeanCosine(dtype)
            mean.add(*at_angle(value))
            means.append(mean.value("here"))
    assert found[torch.bfloat16] == [255 / 256, 255 / 256]
    assert found[torch.float32] == pytest.approx([0.9945, 0.9975], abs=1e-6)


def test_no_token_nan_and_other_dtypes_are_refused() -> None:
    a, b = pair()
    mean = MeanCosine()
    mean.add(a, b, torch.zeros(2, 5, dtype=torch.bool))
    with pytest.raises(ModelError, match=r"no token for model\.layers\.3"):
        mean.value("model.layers.3")
    mean.add(a * torch.nan, b)
    with pytest.raises(ModelError, match=r"hidden states at model\.layers\.3 are NaN or infinite"):
        mean.value("model.layers.3")
    with pytest.raises(ModelError, match=r"dtype=torch\.float16 must be"):
        MeanCosine(torch.float16)
