import copy
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
import torch.nn.functional as F
from sklearn.datasets import load_digits
from torch import Tensor, nn
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.adapters import (
    BitFitConfig,
    BottleneckConfig,
    LoRAConfig,
    NormTuningConfig,
    PrefixConfig,
    SSFConfig,
    attach,
)
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.anatomy import describe
from sparsebench.models.attention.attention_product import ProductAttention
from sparsebench.models.attention.fast_attention import use_product_attention
from sparsebench.models.errors import ModelError
from sparsebench.models.precision import cast, half_frozen

Build = Callable[[str], nn.Module]


def logits(model: Any, batch: Tensor) -> Tensor:
    result = model(batch)
    return result if isinstance(result, Tensor) else result.logits


@pytest.mark.parametrize("train_head", [True, False])
@pytest.mark.parametrize("family", ["timm_vit", "vit", "bert", "roberta", "llama"])
def test_forward_and_backward_without_autocast(family: str, train_head: bool, build: Build, example: Callable) -> None:
    model = build(family)
    adapters = attach(model, LoRAConfig(r=4, init="normal", train_head=train_head))
    batch, names = example(model), list(model.state_dict())
    exact = logits(model, batch)
    assert half_frozen(model) is model
    result = logits(model, batch)
    result.float().square().sum().backward()
    head_trained = any(parameter.requires_grad for parameter in describe(model).head.get().parameters())
    assert result.dtype == (torch.float32 if head_trained else torch.bfloat16)
    torch.testing.assert_close(result.float(), exact, atol=0.05, rtol=0.05)
    assert list(model.state_dict()) == names
    for parameter in model.parameters():
        assert parameter.dtype == (torch.float32 if parameter.requires_grad else torch.bfloat16)
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in adapters.parameters())


@pytest.mark.parametrize(
    "config", [BitFitConfig(), BottleneckConfig(), NormTuningConfig(), PrefixConfig(), SSFConfig()]
)
@pytest.mark.parametrize("family", ["timm_vit", "bert"])
def test_other_kinds_of_adapters(family: str, config: AdapterConfig, build: Build, example: Callable) -> None:
    model = build(family)
    adapters = attach(model, config)
    batch = example(model)
    exact = logits(model, batch)
    use_product_attention(half_frozen(model))
    result = logits(model, batch)
    torch.testing.assert_close(result, exact, atol=0.05, rtol=0.05)
    result.square().sum().backward()
    assert all(p.grad is not None and p.grad.dtype == torch.float32 for p in adapters.parameters())


def test_refuses_what_it_cannot_do(build: Build) -> None:
    model = build("timm_vit")
    with pytest.raises(ModelError, match="no parameter of VisionTransformer is frozen"):
        half_frozen(model)
    model.requires_grad_(False)
    model.blocks[1].mlp.fc1.bias.requires_grad_(True)
    with pytest.raises(ModelError, match=r"blocks\.1\.mlp\.fc1 is frozen in part"):
        half_frozen(model)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.float32}


@pytest.fixture(scope="module")
def digits() -> tuple[Tensor, Tensor]:
    data = load_digits()
    images = F.interpolate(torch.tensor(data.images, dtype=torch.float32)[:, None] / 8 - 1, size=32, mode="bilinear")
    order = torch.randperm(len(images), generator=torch.Generator().manual_seed(0))
    return images.expand(-1, 3, -1, -1)[order].contiguous(), torch.tensor(data.target)[order]


def fit(model: nn.Module, parameters: Any, data: tuple[Tensor, Tensor], steps: int, seed: int) -> Tensor:
    """Train on 1,200 images; loss and accuracy on the others."""
    images, labels = data
    optimizer = torch.optim.AdamW(parameters, lr=5e-3)
    generator = torch.Generator().manual_seed(seed)
    for _ in range(steps):
        chosen = torch.randint(0, 1200, (32,), generator=generator)
        F.cross_entropy(model(images[chosen]), labels[chosen]).backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.no_grad():
        result = model(images[1200:])
    accuracy = (result.argmax(1) == labels[1200:]).float().mean()
    return torch.stack((F.cross_entropy(result, labels[1200:]), accuracy))


@pytest.fixture(scope="module")
def pretrained(digits: tuple[Tensor, Tensor]) -> nn.Module:
    with torch.random.fork_rng():
        torch.manual_seed(0)
        size = {"img_size": 32, "patch_size": 8, "embed_dim": 48, "depth": 2, "num_heads": 3, "global_pool": "avg"}
        model = timm.create_model("vit_tiny_patch16_224", num_classes=10, **size)
    fit(model, model.parameters(), digits, 150, 0)
    return model


def test_training_ends_where_float32_does(
    digits: tuple[Tensor, Tensor], pretrained: nn.Module, monkeypatch: pytest.MonkeyPatch
) -> None:
    """From the same batches of transposed digits: the difference is no more than what other batches make."""
    images, labels = digits
    calls: list[int] = []
    apply = ProductAttention.apply
    monkeypatch.setattr(ProductAttention, "apply", lambda *args: calls.append(1) or apply(*args))

    def adapted(seed: int, *, half: bool, steps: int = 60) -> tuple[nn.Module, Tensor]:
        model = copy.deepcopy(pretrained)
        adapters = attach(model, LoRAConfig(r=8, targets=("linears",)))
        if half:
            use_product_attention(half_frozen(model))
        return model, fit(model, adapters.parameters(), (images.transpose(2, 3), labels), steps, seed)

    start = adapted(0, half=False, steps=0)[1]
    full = torch.stack([adapted(seed, half=False)[1] for seed in range(3)])
    assert not calls
    results = [adapted(seed, half=True) for seed in range(3)]
    assert len(calls) == 3 * (60 + 1) * 2  # steps and one evaluation, two blocks
    half = torch.stack([result for _, result in results])
    assert full[:, 0].max() < start[0] - 0.3 and half[:, 0].max() < start[0] - 0.3
    loss, accuracy = (half.mean(0) - full.mean(0)).abs()
    assert loss < 0.08 and accuracy < 0.05
    ups = [module for name, module in results[0][0].named_modules() if name.endswith("lora_B.0")]
    assert len(ups) == 8
    for up in ups:  # 0 at the start; between the values that bfloat16 has
        assert up.weight.dtype == torch.float32 and up.weight.abs().max() > 1e-3
        assert not torch.equal(up.weight, up.weight.bfloat16().float())


def test_a_cast_model_is_the_one_that_transformers_loads_in_that_dtype(tmp_path) -> None:
    """`to` rounds the frequencies of rotary positions as well, and is another model."""
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"hidden_size": 32, "intermediate_size": 32, "num_attention_heads": 2, "vocab_size": 64}
    model = LlamaForCausalLM(LlamaConfig(num_hidden_layers=2, **sizes)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.save_pretrained(tmp_path)
    loaded = LlamaForCausalLM.from_pretrained(tmp_path, dtype=torch.bfloat16).eval()
    rounded = copy.deepcopy(model).to(torch.bfloat16)
    ids = torch.randint(64, (1, 500))
    with torch.no_grad():
        wanted = loaded(ids).logits
        assert torch.equal(cast(model, torch.bfloat16)(ids).logits, wanted)
        assert not torch.equal(rounded(ids).logits, wanted)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    assert model.model.rotary_emb.inv_freq.dtype == torch.float32


def test_a_cast_takes_stored_buffers_along_and_leaves_integers() -> None:
    model = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    assert cast(model, torch.float64) is model
    found = {name: tensor.dtype for name, tensor in model.state_dict().items()}
    assert found.pop("1.num_batches_tracked") == torch.int64
    assert set(found.values()) == {torch.float64}
