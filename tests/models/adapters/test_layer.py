import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.adapters.layer import AdapterLayer, FrozenNorm
from sparsebench.models.anatomy import Wrapper
from sparsebench.models.errors import ModelError


class Shift(AdapterLayer):
    """f(x) + shift, which a bias can take."""

    linear = True
    additive = True

    def __init__(self, base_layer: nn.Module, size: int = 3) -> None:
        super().__init__(base_layer)
        self.inner = nn.Module()
        self.inner.shift = nn.Parameter(torch.arange(1.0, size + 1) / 3)

    def adapted(self, x: Tensor) -> Tensor:
        return self.base_layer(x) + self.inner.shift

    @torch.no_grad()
    def merge_into(self, base_layer: nn.Module) -> None:
        if base_layer.bias is None:
            base_layer.bias = nn.Parameter(self.inner.shift.clone())
        else:
            base_layer.bias += self.inner.shift


class Double(AdapterLayer):
    """2 f(x): linear, but not additive."""

    linear = True

    def adapted(self, x: Tensor) -> Tensor:
        return 2 * self.base_layer(x)


def test_enabled_or_not() -> None:
    layer, x = Shift(nn.Linear(2, 3)), torch.ones(4, 2)
    assert torch.equal(layer(x), layer.base_layer(x) + layer.inner.shift)
    layer.enabled = False
    assert torch.equal(layer(x), layer.base_layer(x))


def test_what_is_the_adapters_own() -> None:
    layer = Shift(Shift(nn.Linear(2, 3)))
    assert [name for name, _ in layer.adapter_modules()] == ["inner"]
    assert [name for name, _ in layer.adapter_parameters()] == ["inner.shift"] == list(layer.adapter_state())
    assert layer.adapter_state()["inner.shift"] is layer.inner.shift
    assert isinstance(layer.get_base_layer(), nn.Linear)


def test_mode_of_the_base() -> None:
    layer = Shift(nn.Linear(2, 3).eval())
    layer.match_mode()
    assert not layer.training and not layer.inner.training
    layer.base_layer.train()
    layer.match_mode()
    assert layer.training and layer.inner.training


@pytest.mark.parametrize("bias", [False, True])
def test_merges_undo_each_other_bit_for_bit(bias: bool) -> None:
    base = nn.Linear(2, 3, bias=bias)
    before = {name: value.clone() for name, value in base.state_dict().items()}
    outer = Shift(inner := Shift(base))
    x = torch.randn(4, 2)
    expected = outer(x)
    inner.merge()
    outer.merge()
    torch.testing.assert_close(base(x), expected)
    assert outer.can_unmerge() and not inner.can_unmerge()
    outer.unmerge()
    assert inner.can_unmerge()
    inner.unmerge()
    after = base.state_dict()
    assert list(after) == list(before) and all(torch.equal(after[name], before[name]) for name in before)
    assert (base.bias is not None) == bias
    inner.merge()
    assert inner.can_unmerge(), "again, as the first"


@pytest.mark.parametrize("change", ["width", "shape", "place"])
def test_what_was_packed_since_is_not_undone(change: str) -> None:
    layer = Shift(nn.Linear(2, 3))
    layer.merge()
    assert layer.can_unmerge()
    if change == "width":
        layer.base_layer.half()
    elif change == "shape":
        layer.base_layer.weight = nn.Parameter(torch.ones(2, 2))
    else:
        del layer.base_layer.weight
        layer.base_layer.register_buffer("weight", torch.ones(3, 2))
    assert not layer.can_unmerge()


def test_merging_refuses_what_would_change_the_function() -> None:
    with pytest.raises(ModelError, match="AdapterLayer is not linear in its input"):
        AdapterLayer(nn.Linear(2, 3)).check_mergeable()
    inner = Double(nn.Linear(2, 3))
    inner.owner = "below"
    outer = Shift(inner)
    outer.owner = "above"
    with pytest.raises(ModelError, match="'below' lie below 'above': merge those first"):
        outer.check_mergeable()
    Shift(Wrapper(Shift(nn.Linear(2, 3)))).check_mergeable()


def test_a_kind_must_say_what_it_computes() -> None:
    with pytest.raises(NotImplementedError, match="AdapterLayer must implement adapted"):
        AdapterLayer(nn.Identity())(torch.ones(1))


def test_a_frozen_norm_keeps_its_statistics() -> None:
    norm = nn.BatchNorm1d(3).train()
    frozen = FrozenNorm(norm)
    assert frozen.training and not norm.training
    before = norm.running_mean.clone()
    frozen.train()(torch.randn(8, 3) + 5)
    assert torch.equal(norm.running_mean, before) and not norm.training
    assert not frozen.eval().training


def test_the_weight_below_can_be_asked_for_its_dtype() -> None:
    """T5 reads `wo.weight.dtype` of the layer that stands there."""
    linear = nn.Linear(2, 3, dtype=torch.bfloat16)
    assert Shift(Shift(linear)).weight is linear.weight
    assert not hasattr(Shift(nn.ReLU()), "weight")


@pytest.mark.parametrize("make", [nn.utils.spectral_norm, nn.utils.parametrizations.weight_norm])
def test_a_weight_that_is_made_at_each_call_takes_no_adapter(make) -> None:
    """It would be made again without what was merged."""
    layer = Shift(make(nn.Conv2d(2, 3, 1)))
    with pytest.raises(ModelError, match="made at each call of other tensors"):
        layer.check_mergeable()
