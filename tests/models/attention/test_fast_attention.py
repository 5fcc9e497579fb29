import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch
from torch import Tensor, nn

from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.anatomy import describe
from sparsebench.models.attention.attention_product import ProductAttention
from sparsebench.models.attention.fast_attention import NAME, use_product_attention, use_stock_attention
from sparsebench.models.errors import ModelError

Build = Callable[[str], nn.Module]


def gradients(model: nn.Module, result: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad(result.float().square().sum(), [p for p in model.parameters() if p.requires_grad]))


def call(model: Any, batch: Tensor, **keywords: Tensor) -> Tensor:
    result = model(batch.bfloat16() if batch.is_floating_point() else batch, **keywords)
    return result if isinstance(result, Tensor) else result.logits


@pytest.mark.parametrize("family", ["timm_vit", "vit", "bert", "roberta", "llama", "qwen3"])
def test_models(family: str, build: Build, example: Callable, monkeypatch: pytest.MonkeyPatch) -> None:
    """Outputs and gradients as with torch's attention, layer by layer through our function, and back again."""
    model = build(family).bfloat16()
    model.requires_grad_(False)
    attach(model, LoRAConfig(r=4, init="normal"))
    batch, keywords = example(model), {}
    if not batch.is_floating_point():
        keywords["attention_mask"] = torch.tensor([[1] * 7, [1] * 4 + [0] * 3])
    before, names = call(model, batch, **keywords), list(model.state_dict())
    expected = gradients(model, before)
    calls: list[int] = []
    apply = ProductAttention.apply
    monkeypatch.setattr(ProductAttention, "apply", lambda *args: calls.append(1) or apply(*args))
    use_product_attention(model)
    use_product_attention(model)
    assert list(model.state_dict()) == names and len(describe(model).blocks) == 2
    after = call(model, batch, **keywords)
    assert len(calls) == 2
    torch.testing.assert_close(after, before, atol=0.03, rtol=0.03)
    for ours, reference in zip(gradients(model, after), expected, strict=True):
        assert (ours - reference).norm() < 0.06 * reference.norm() + 1e-3
    for twin in (copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        assert torch.equal(call(twin, batch, **keywords), after)
    use_stock_attention(model)
    calls.clear()
    assert torch.equal(call(model, batch, **keywords), before) and not calls


@pytest.mark.parametrize("family", ["timm_vit", "bert"])
def test_compiles_in_one_graph(family: str, build: Build, example: Callable) -> None:
    model = build(family).bfloat16()
    model.requires_grad_(False)
    attach(model, LoRAConfig(r=4, init="normal"))
    use_product_attention(model)
    batch = example(model)
    eager = call(model, batch)
    compiled = call(torch.compile(model, fullgraph=True, backend="aot_eager"), batch)
    torch.testing.assert_close(compiled, eager, atol=0.03, rtol=0.03)
    for ours, reference in zip(gradients(model, compiled), gradients(model, eager), strict=True):
        assert (ours - reference).norm() < 0.06 * reference.norm() + 1e-3
    torch._dynamo.reset()


def test_refusals(build: Build) -> None:
    bert = build("bert")
    bert.set_attn_implementation("eager")
    with pytest.raises(ModelError, match="uses 'eager' attention"):
        use_product_attention(bert)
    with pytest.raises(ModelError, match="EfficientNet has no attention of timm"):
        use_product_attention(timm.create_model("tf_efficientnet_lite0"))
    assert NAME == "sparsebench_product"
