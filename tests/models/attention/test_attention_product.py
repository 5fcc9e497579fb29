import pytest
import torch
import torch.nn.functional as F
from torch import Tensor

from sparsebench.models.attention.attention_product import MAX_TOKENS, ProductAttention, attention

BATCH, HEADS, TOKENS, SIZE = 2, 3, 9, 8
MASKS: dict[str, Tensor | None] = {
    "none": None,
    "padding": torch.tensor([[9], [5]])[:, :, None, None] > torch.arange(TOKENS),
    "one blind query": torch.arange(TOKENS)[:, None].ne(4).expand(TOKENS, TOKENS),
    "float": torch.linspace(-2, 2, TOKENS * TOKENS).view(TOKENS, TOKENS),
}


def draw(*shape: int, seed: int = 0, dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64).to(dtype)


def inputs(dtype: torch.dtype, tokens: int = TOKENS) -> list[Tensor]:
    return [draw(BATCH, HEADS, tokens, SIZE, seed=seed, dtype=dtype).requires_grad_() for seed in range(3)]


def formula(query: Tensor, key: Tensor, value: Tensor, mask: Tensor | None, causal: bool) -> Tensor:
    """Query by query in float64."""
    rows = []
    for i in range(query.shape[2]):
        scores = (query[:, :, i, None].double() * key.double()).sum(-1) / query.shape[-1] ** 0.5
        allowed = torch.ones_like(scores, dtype=torch.bool)
        if mask is not None and mask.dtype == torch.bool:
            allowed = mask.expand(BATCH, HEADS, TOKENS, TOKENS)[:, :, i]
        elif mask is not None:
            scores = scores + mask[i].double()
        if causal:
            allowed = allowed & (torch.arange(key.shape[2]) <= i)
        weights = torch.where(allowed, (scores - scores.amax(-1, keepdim=True)).exp(), 0.0)
        weights = weights / weights.sum(-1, keepdim=True).clamp_min(1e-300)
        rows.append((weights[..., None] * value.double()).sum(2))
    return torch.stack(rows, 2)


def by_products(y: Tensor) -> bool:
    return "ProductAttention" in type(y.grad_fn).__name__


@pytest.mark.parametrize("causal", [False, True])
@pytest.mark.parametrize("name", MASKS)
def test_bfloat16_is_the_formula_within_rounding(name: str, causal: bool) -> None:
    mask = MASKS[name]
    if causal and mask is not None:
        pytest.skip("torch takes a mask or causal, not both")
    tensors = inputs(torch.bfloat16)
    given = mask.bfloat16() if name == "float" and mask is not None else mask
    y, exact = attention(*tensors, given, causal=causal), formula(*tensors, mask, causal)
    assert by_products(y) and y.dtype == torch.bfloat16
    torch.testing.assert_close(y.double(), exact, atol=0.02, rtol=0.02)
    upstream = draw(*y.shape, seed=9)
    got = torch.autograd.grad(y, tensors, upstream.bfloat16())
    for ours, reference in zip(got, torch.autograd.grad(exact, tensors, upstream), strict=True):
        assert (ours.double() - reference.double()).norm() < 0.02 * reference.double().norm()


@pytest.mark.parametrize("name", ["none", "padding", "one blind query"])
def test_function_in_float64(name: str) -> None:
    mask, tensors = MASKS[name], inputs(torch.float64)
    bias = None if mask is None else torch.zeros(mask.shape, dtype=torch.float64).masked_fill(~mask, -torch.inf)
    y = ProductAttention.apply(*tensors, bias, SIZE**-0.5, 0.0)[0]
    torch.testing.assert_close(y, formula(*tensors, mask, False))
    small = [tensor.detach()[:1, :1, :, :3].requires_grad_() for tensor in tensors]
    bias = None if bias is None else bias[:1]
    assert torch.autograd.gradcheck(lambda *t: ProductAttention.apply(*t, bias, 0.4, 0.0)[0], small)
    assert torch.autograd.gradgradcheck(lambda *t: ProductAttention.apply(*t, bias, 0.4, 0.0)[0], small)


def test_dropout() -> None:
    """The same random numbers in the forward and the backward pass; the expectation is the result without."""
    query, key, value = inputs(torch.float64)

    def dropped(value: Tensor, seed: int = 0) -> Tensor:
        torch.manual_seed(seed)
        return ProductAttention.apply(query, key, value, None, 1.0, 0.3)[0]

    with torch.random.fork_rng():
        torch.autograd.gradcheck(dropped, value, raise_exception=True)
        torch.manual_seed(0)
        torch.autograd.gradcheck(lambda q: _seeded(q, key, value), query, raise_exception=True)
        mean = sum(dropped(value, seed).detach() for seed in range(2000)) / 2000
    plain = ProductAttention.apply(query, key, value, None, 1.0, 0.0)[0].detach()
    torch.testing.assert_close(mean, plain, atol=0.12, rtol=0)


def _seeded(query: Tensor, key: Tensor, value: Tensor) -> Tensor:
    torch.manual_seed(1)
    return ProductAttention.apply(query, key, value, None, 1.0, 0.3)[0]


def test_a_float32_mask_stays_one_when_compiled() -> None:
    tensors = inputs(torch.bfloat16)
    mask = MASKS["float"]
    compiled = torch.compile(attention, fullgraph=True, backend="eager")(*tensors, mask)
    assert compiled.dtype == torch.bfloat16
    torch.testing.assert_close(compiled, attention(*tensors, mask), atol=0.02, rtol=0.02)
    torch._dynamo.reset()


def test_where_the_fused_kernel_is_faster_it_is_used() -> None:
    short, long = inputs(torch.bfloat16), inputs(torch.bfloat16, MAX_TOKENS + 1)
    assert by_products(attention(*short))
    assert not by_products(attention(*long)) and not by_products(attention(*inputs(torch.float32)))
    learned = torch.zeros(TOKENS, TOKENS, dtype=torch.bfloat16, requires_grad=True)
    assert not by_products(attention(*short, learned)) and attention(*short, learned).requires_grad
    plain = [tensor.detach() for tensor in long]
    assert torch.equal(attention(*plain), F.scaled_dot_product_attention(*plain))
