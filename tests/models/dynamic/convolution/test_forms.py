from collections.abc import Callable
from pathlib import Path

import pytest
import torch

from sparsebench.models.dynamic.convolution import forms
from sparsebench.models.dynamic.convolution.forms import FORMS, Dynamic, choose_form, sharing_pays
from sparsebench.models.dynamic.convolution.geometry import Geometry
from sparsebench.models.native import forms as native_forms

from .reference import SHAPES, by_hand, dynamic, images, largest_difference, plain, random_mask, shaken

STRUCTURES = ["dynamic", "static", "row", "channel", "weight"]
KINDS = ["dy_conv", "cond_conv", "od_conv"]


def test_against_the_reference(subtests: pytest.Subtests) -> None:
    for kind in KINDS:
        for shape in SHAPES:
            with subtests.test(kind=kind, shape=shape):
                layer, x = dynamic(shape, kind), images()
                assert largest_difference(layer(x), by_hand(layer, x, plain(shape))) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_partitions_against_the_reference(kind: str, subtests: pytest.Subtests) -> None:
    for shape in SHAPES:
        for structure in STRUCTURES:
            with subtests.test(shape=shape, structure=structure):
                layer, x = dynamic(shape, kind), images()
                layer.set_partition(random_mask(layer, structure))
                shaken(layer)
                assert largest_difference(layer(x), by_hand(layer, x, plain(shape))) < 1e-12


@pytest.mark.parametrize("structure", ["row", "channel"])
@pytest.mark.parametrize("kind", KINDS)
def test_partitions_of_large_maps_against_the_reference(kind: str, structure: str) -> None:
    layer, x = dynamic("plain", kind), images(size=20)
    assert sharing_pays(layer.geometry, images()) and not sharing_pays(layer.geometry, x)
    layer.set_partition(random_mask(layer, structure))
    shaken(layer)
    expected = by_hand(layer, x, plain("plain"))
    assert largest_difference(layer(x), expected) < 1e-12
    layer.take_compact_form()
    assert largest_difference(layer(x), expected) < 1e-12


@pytest.mark.parametrize("scale", ["both", "static", "dynamic", "none", "pruned"])
def test_scales_against_the_reference(scale: str, subtests: pytest.Subtests) -> None:
    for batch in [1, 5]:
        for structure in ["row", "channel", "weight"]:
            with subtests.test(batch=batch, structure=structure):
                layer, x = dynamic("plain"), images(batch)
                layer.set_partition(random_mask(layer, structure), scale=scale)  # type: ignore[arg-type]
                shaken(layer)
                assert largest_difference(layer(x), by_hand(layer, x, plain("plain"))) < 1e-12


@pytest.mark.parametrize("structure", ["row", "channel", "weight"])
@pytest.mark.parametrize(("kind", "batch"), [("od_conv", 3), ("dy_conv", 5)])
def test_gradients_against_the_reference(kind: str, batch: int, structure: str) -> None:
    layer, x = dynamic("plain", kind), images(batch).requires_grad_()
    layer.set_partition(random_mask(layer, structure))
    shaken(layer)
    upstream = torch.randn_like(layer(x).detach())
    trained = [x, layer.bank, layer.partition.static, layer.partition.phi, *layer.attention.parameters()]
    found = torch.autograd.grad(layer(x), trained, upstream)
    expected = torch.autograd.grad(by_hand(layer, x, plain("plain")), trained, upstream)
    for ours, reference in zip(found, expected, strict=True):
        assert largest_difference(ours, reference) < 1e-11


@pytest.mark.parametrize("shape", ["plain", "pointwise", "pointwise with stride", "stride and dilation", "even kernel"])
@pytest.mark.parametrize("with_taps", [False, True])
def test_all_forms_give_the_same(shape: str, with_taps: bool) -> None:
    layer, x = dynamic(shape, "od_conv"), images()
    factors = layer.factors(x)
    taps = factors.taps if with_taps else None
    problem = Dynamic(x, layer.bank, factors.kernels, taps, layer.geometry)
    expected = FORMS["groups"](problem)
    for form in FORMS.values():
        assert largest_difference(form(problem), expected) < 1e-12


@pytest.mark.parametrize("kind", KINDS)
def test_to_measure_the_forms_leaves_no_trace(kind: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """The clock runs each form twice, forward and backward: gradients are those of the one pass that was asked for."""
    monkeypatch.setattr(native_forms, "_chosen", {})
    monkeypatch.setattr(native_forms, "_file", lambda: tmp_path / "forms.json")
    layer, x = dynamic("plain", kind), images().requires_grad_()
    trained = [x, *layer.parameters()]
    upstream = torch.randn_like(layer(x).detach())
    expected = torch.autograd.grad(layer(x), trained, upstream)
    with native_forms.by_rules(False):
        y = layer(x)
        assert (tmp_path / "forms.json").is_file() and all(tensor.grad is None for tensor in trained)
        y.backward(upstream)
    for tensor, gradient in zip(trained, expected, strict=True):
        assert largest_difference(tensor.grad, gradient) < 1e-11


@pytest.mark.parametrize("structure", ["weight", "row", None])
@pytest.mark.parametrize("rules", [True, False])
def test_no_samples(rules: bool, structure: str | None) -> None:
    layer, x = dynamic("plain", "dy_conv"), images()
    if structure is not None:
        layer.set_partition(random_mask(layer, structure))
    with native_forms.by_rules(rules):
        y = layer(x[:0].requires_grad_())
    assert y.shape == (0, *layer(x).shape[1:])
    y.sum().backward()
    assert torch.equal(layer.bank.grad, torch.zeros_like(layer.bank))


def chosen(channels: int, size: int, kernel: int, *, batch: int = 8, groups: int = 1, train: bool = False) -> str:
    bank = torch.zeros(4, channels, channels // groups, kernel, kernel, requires_grad=train)
    geometry = Geometry(kernel=(kernel, kernel), padding=(kernel // 2, kernel // 2), groups=groups)
    return choose_form(Dynamic(torch.zeros(batch, channels, size, size), bank, torch.ones(batch, 4), None, geometry))


@pytest.mark.parametrize(
    ("kind", "structure", "compact"),
    [("dy_conv", "weight", False), ("dy_conv", "channel", True), ("od_conv", "row", True)],
)
def test_an_exported_layer_takes_any_number_of_samples(
    kind: str, structure: str, compact: bool, subtests: pytest.Subtests
) -> None:
    """Groups and kernels of any number, too, whose forms with a group for each sample fix it."""
    batch = torch.export.Dim("batch", min=1, max=64)
    for shape in ("pointwise with stride", "groups", "depthwise", "stride and dilation", "same", "reflected"):
        with subtests.test(shape=shape):
            layer = dynamic(shape, kind).eval()
            layer.set_partition(random_mask(layer, structure))
            shaken(layer)
            if compact:
                layer.take_compact_form()
            graph = torch.export.export(layer, (images(3),), dynamic_shapes=({0: batch},)).module()
            for samples in (1, 2, 9):
                x = images(samples)
                assert largest_difference(graph(x), layer(x)) < 1e-12


def test_the_form_follows_the_shape() -> None:
    assert chosen(8, 7, 1) == "columns"
    assert chosen(8, 56, 3) == chosen(8, 7, 3, groups=8) == chosen(8, 7, 3, batch=1) == "groups"
    assert chosen(8, 7, 3) == chosen(8, 14, 3) == "samples"
    assert chosen(8, 7, 3, train=True) == "columns" and chosen(8, 14, 3, train=True) == "groups"


@pytest.mark.parametrize("batch", [1, 5], ids=["fewer images than kernels", "more"])
def test_a_relaxed_mask_gives_the_gradient_of_a_switch(batch: int) -> None:
    """dL/dM = Σ_samples g ⊙ (λ_d dynamic - λ_s static), of a partition by rows too; and by finite differences."""
    layer, x = dynamic("plain"), images(batch)
    layer.set_partition(random_mask(layer, "row"))
    shaken(layer)
    upstream = torch.randn_like(layer(x).detach())
    with layer.partition.relaxed() as mask:
        (gradient,) = torch.autograd.grad((layer(x) * upstream).sum(), mask)
        step = torch.zeros_like(mask)
        step[2, 3, 1, 1] = 1e-5
        with torch.no_grad():
            mask += step
            above = (layer(x) * upstream).sum()
            mask -= 2 * step
            below = (layer(x) * upstream).sum()
    assert gradient[2, 3, 1, 1].item() == pytest.approx((above - below).item() / 2e-5, rel=1e-6)


def test_an_input_of_another_size_is_refused() -> None:
    with pytest.raises(ValueError, match=r"takes \(batch, 6, h, w\)"):
        dynamic("plain")(torch.zeros(1, 5, 9, 9, dtype=torch.float64))


@pytest.mark.parametrize("train", [False, True])
def test_what_is_measured_leaves_no_trace(train: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """Forms run on tensors apart, in training with their way back, and the gradient is that of the one call."""
    names = set()

    def fastest(what: tuple[str | int, ...], forms: dict[str, Callable[[], object]], rule: str) -> str:
        names.update(forms)
        for form in forms.values():
            form()
        return "groups"

    monkeypatch.setattr(forms, "fastest", fastest)
    layer, x = dynamic("plain"), images()
    with torch.set_grad_enabled(train):
        result = layer(x)
    assert names == {"groups", "columns"} | (set() if train else {"samples"})
    assert layer.bank.grad is None and x.grad is None
    assert largest_difference(result, by_hand(layer, x, plain("plain"))) < 1e-12
