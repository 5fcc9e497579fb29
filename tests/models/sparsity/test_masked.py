import copy
from collections.abc import Callable

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

from sparsebench.models.counting import stored_bytes
from sparsebench.models.sparsity.masked import Masked, MaskedConv2d, MaskedLinear

Build = Callable[[str], nn.Module]
MAKERS: dict[str, Callable[[], Masked]] = {
    "linear": lambda: MaskedLinear(7, 5),
    "bare": lambda: MaskedLinear(7, 5, bias=False),
    "conv": lambda: MaskedConv2d(7, 5, 3, padding=1),
}


def filled(kind: str, seed: int = 0) -> Masked:
    layer = MAKERS[kind]()
    generator = torch.Generator().manual_seed(seed)
    for parameter in layer.parameters():
        parameter.data.normal_(generator=generator)
    return layer


def half(layer: Masked, seed: int = 1, density: float = 0.5) -> Tensor:
    return torch.rand(layer.shape, generator=torch.Generator().manual_seed(seed)) < density


def inputs(layer: Masked, dtype: torch.dtype = torch.float32) -> Tensor:
    shape = (2, 7, 4, 4) if isinstance(layer, MaskedConv2d) else (3, 2, 7)
    return torch.randn(shape, generator=torch.Generator().manual_seed(2)).to(dtype)


@pytest.mark.parametrize("kind", MAKERS)
def test_pruned_equals_dense_with_zeros(kind: str) -> None:
    """Output, gradient of the input, and gradient of each surviving value."""
    dense, pruned = filled(kind), filled(kind)
    mask = half(dense)
    dense.stored.data.mul_(mask)
    pruned.prune(mask)
    results = []
    for layer in (dense, pruned):
        x = inputs(layer).requires_grad_()
        out = layer(x)
        out.square().sum().backward()
        results.append((out, x.grad))
    assert all(torch.equal(a, b) for a, b in zip(*results, strict=True))
    assert torch.equal(pruned.stored.grad, dense.stored.grad[mask])
    assert torch.equal(pruned.effective(), dense.effective()) and torch.equal(pruned.mask, mask)
    assert pruned.masked_out() == int((~mask).sum()) and pruned.stored.shape == (int(mask.sum()),)
    assert pruned.index.dtype == torch.int32 and pruned.weight is None


@pytest.mark.parametrize("kind", MAKERS)
def test_a_mask_of_ones_changes_nothing(kind: str) -> None:
    layer = filled(kind)
    before = layer.stored
    layer.prune(torch.ones(layer.shape))
    assert layer.stored is before and layer.weight is before and layer.mask.all()


@pytest.mark.parametrize("kind", MAKERS)
def test_nothing_left(kind: str) -> None:
    layer = filled(kind)
    layer.prune(torch.zeros(layer.shape))
    assert layer.stored.numel() == 0 and not layer.effective().any()
    layer(inputs(layer)).sum().backward()
    optimizer = torch.optim.AdamW(layer.parameters(), weight_decay=0.1)
    optimizer.step()
    assert not layer.effective().any()


@pytest.mark.parametrize("kind", MAKERS)
def test_pruning_again_only_removes(kind: str) -> None:
    layer = filled(kind)
    weight, one, two = layer.effective().detach().clone(), half(layer, 1), half(layer, 2)
    layer.prune(one)
    layer.prune(two)
    assert torch.equal(layer.mask, one & two) and torch.equal(layer.effective(), weight * (one & two))
    kept = layer.stored
    layer.prune(one)
    assert layer.stored is kept


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("dim", [0, 1])
def test_select(kind: str, dim: int) -> None:
    layer = filled(kind)
    layer.prune(half(layer))
    weight, mask, bias, keep = layer.effective(), layer.mask, layer.bias, torch.tensor([0, 3, 4])
    layer.select(dim, keep)
    assert torch.equal(layer.effective(), weight.index_select(dim, keep)) and layer.shape[dim] == 3
    assert torch.equal(layer.mask, mask.index_select(dim, keep))
    if bias is not None:
        assert torch.equal(layer.bias, bias[keep] if dim == 0 else bias)


def pruned_and_narrow(kind: str) -> list[Masked]:
    layers = [filled(kind) for _ in range(4)]
    layers[1].prune(half(layers[1]))
    layers[2].select(0, torch.tensor([1, 2, 4]))
    layers[3].prune(half(layers[3]))
    layers[3].select(1, torch.tensor([0, 2]))
    return layers


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("source", range(4))
@pytest.mark.parametrize("target", range(2))
def test_state_goes_into_dense_and_pruned_layers(kind: str, source: int, target: int) -> None:
    """Dense, pruned, narrowed, and both."""
    given, taker = pruned_and_narrow(kind)[source], filled(kind, seed=9)
    if target:
        taker.prune(half(taker, 5))
    state = given.state_dict()
    assert set(state) <= {"weight", "values", "bits", "shape", "bias"}
    taker.load_state_dict(state)
    assert torch.equal(taker.effective(), given.effective()) and torch.equal(taker.mask, given.mask)
    assert taker.stored.requires_grad and taker.shape == given.shape
    if given.bias is not None:
        assert torch.equal(taker.bias, given.bias)
    again = taker.state_dict()
    assert state.keys() == again.keys() and all(torch.equal(state[key], again[key]) for key in state)


@pytest.mark.parametrize("pruned", [False, True])
def test_loading_what_is_there_already_keeps_the_parameters(pruned: bool) -> None:
    """So that an optimizer made before stays valid."""
    layer = filled("linear")
    if pruned:
        layer.prune(half(layer))
    before = layer.stored
    layer.load_state_dict(copy.deepcopy(layer.state_dict()))
    assert layer.stored is before


@pytest.mark.parametrize("change", ["wider", "other", "torn", "both"])
def test_states_that_do_not_fit_are_refused(change: str) -> None:
    layer, other = filled("linear"), MaskedLinear(9, 5)
    other.stored.data.zero_()
    other.prune(half(other))
    state = other.state_dict()
    if change == "other":
        state = MaskedLinear(4, 3).state_dict()
    if change == "torn":
        del state["bits"]
    if change == "both":
        state["shape"] = torch.tensor([5, 7], dtype=torch.int32)
    with pytest.raises(RuntimeError, match=r"shape|size mismatch|Missing|Unexpected"):
        layer.load_state_dict(state)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("pruned", [False, True])
def test_compiles_without_graph_breaks(kind: str, pruned: bool) -> None:
    layer = filled(kind)
    if pruned:
        layer.prune(half(layer))
    x, results = inputs(layer), []
    for run in (layer, torch.compile(layer, fullgraph=True, backend="aot_eager")):
        layer.zero_grad()
        out = run(x)
        out.square().sum().backward()
        results.append((out, layer.stored.grad.clone()))
    for a, b in zip(*results, strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("kind", MAKERS)
@pytest.mark.parametrize("pruned", [False, True])
def test_float32_masters_compute_in_the_dtype_of_the_input(kind: str, pruned: bool) -> None:
    layer = filled(kind)
    if pruned:
        layer.prune(half(layer))
    for dtype in (torch.bfloat16, torch.float64):
        out = layer(inputs(layer, dtype))
        out.sum().backward()
        assert out.dtype == dtype and layer.effective(dtype).dtype == dtype
        assert {p.dtype for p in layer.parameters()} == {p.grad.dtype for p in layer.parameters()} == {torch.float32}


def test_a_mask_of_another_shape_is_refused() -> None:
    with pytest.raises(ValueError, match=r"shape \(7, 5\) does not fit a weight of shape \(5, 7\)"):
        filled("linear").prune(torch.ones(7, 5))


@settings(deadline=None, max_examples=25)
@given(out=st.integers(1, 9), into=st.integers(1, 9), density=st.floats(0, 1))
def test_state_size(out: int, into: int, density: float) -> None:
    """Four bytes per survivor, one bit per entry and the shape; odd sizes included."""
    layer = MaskedLinear(into, out, bias=False)
    layer.stored.data.normal_()
    layer.prune(half(layer, 3, density))
    kept = layer.stored.numel()
    expected = 4 * kept if kept == out * into else 4 * kept + -(-out * into // 8) + 8
    assert stored_bytes(layer) == expected
    other = MaskedLinear(into, out, bias=False)
    other.load_state_dict(layer.state_dict())
    assert torch.equal(other.effective(), layer.effective())


# In a model
