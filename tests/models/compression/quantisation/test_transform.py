"""Whole models of every layout: packed and exact, better than rounding, all or nothing, and what is left alone."""

import copy
import warnings
from typing import Any

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.compression.linear.expert_linears import linear_maps
from sparsebench.models.compression.quantisation import Grid, PackedTensor, QuantiseConfig, dequantise, quantise
from sparsebench.models.compression.quantisation.packed.kernels import native
from sparsebench.models.compression.quantisation.packed.kernels.native import PackedKernels
from sparsebench.models.compression.quantisation.transform import SlowGridWarning
from sparsebench.models.compression.scarce import ScarceCalibrationWarning
from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.errors import ModelError

from ...stock_mixtures import stock
from ..slimming import mixtures
from ..slimming.mixtures import BUILDERS, FUSED, batches, mixture
from .models import dense_twin, fingerprints, output

GRID = Grid(bits=4, group_size=16, symmetric=False)
METHODS = ("rtn", "gptq", "awq")


def config(method: Any = "rtn", **fields: Any) -> QuantiseConfig:
    return QuantiseConfig(**({"method": method, "grid": GRID} | fields))


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", BUILDERS)
def test_every_layout_computes_what_its_dense_weights_do(name: str, method: str) -> None:
    """Of every expert, fused or in a list: a walk over `nn.Linear` finds none of the fused ones (defect 19)."""
    model = mixture(name)
    matrices = len({(one.expert, one.role == "down", one.block) for one in linear_maps(model)})
    before = stored_bytes(model)
    report = quantise(model, config(method), batches(name))
    assert stored_bytes(model) == report.bytes_after < report.bytes_before == before
    assert len(report.weights) == matrices
    assert sum(isinstance(value, PackedTensor) for value in model.parameters()) == len({w.path for w in report.weights})
    twin = dense_twin(model, name)
    for batch in batches(name, count=3)[2:]:
        torch.testing.assert_close(output(model, batch), output(twin, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("grid", [Grid(bits=8, group_size=None), Grid(bits=4, group_size=64)], ids=str)
@pytest.mark.parametrize("name", BUILDERS)
def test_every_layout_reads_its_codes(library: PackedKernels, name: str, grid: Grid) -> None:
    """The same to the 8 bits of the inputs of both products; near ties, tokens may go to other experts."""
    model = mixture(name)
    report = quantise(model, config(grid=grid), batches(name))
    assert not report.read_dense
    batch = batches(name)[0]
    native.take_use()
    wanted = output(model, batch)
    assert native.take_use() is None
    found = mixtures.output(model, batch)
    assert native.take_use() is not None
    assert 0 < (found - wanted).norm() < 0.03 * wanted.norm()


def test_grids_without_a_kernel_are_reported() -> None:
    report = quantise(mixture("mixtral"), config())
    assert set(report.read_dense.values()) == {"groups of 16 columns are no multiples of 32"}
    assert len(report.read_dense) == 4


@pytest.mark.parametrize("name", FUSED)
def test_gptq_makes_smaller_errors_than_rounding(name: str) -> None:
    """Mean over all matrices of the squared error of their outputs, on the calibration data, at 2 bits."""
    coarse = Grid(bits=2, group_size=16)
    report = quantise(mixture(name), config("gptq", grid=coarse), batches(name))
    rounded = quantise(mixture(name), config("gptq", grid=coarse, least_tokens=10**6), batches(name))
    assert len(rounded.fallbacks) == len(rounded.weights)
    error, rounding_error = report.error(), rounded.error()
    assert error is not None and rounding_error is not None and error < 0.8 * rounding_error


@pytest.mark.parametrize("method", METHODS)
@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "converted", "vit"])
def test_experts_alone_change_unless_more_is_asked(name: str, method: str) -> None:
    """AWQ scales norms, routers and what else reads the norms; the others touch nothing else (B11, defect 8)."""
    model = mixture(name)
    before = fingerprints(model)
    report = quantise(model, config(method), batches(name))
    after = fingerprints(model)
    changed = {path for path in before if before[path] != after[path]}
    quantised = {weight.path for weight in report.weights}
    assert quantised <= changed
    if method != "awq":
        assert changed == quantised
    else:
        scaled = {path for path in changed - quantised if "norm" not in path}
        assert all("gate" in path or "router" in path or "shared" in path for path in scaled)
        assert not any(isinstance(value, PackedTensor) for path, value in model.named_parameters() if path in scaled)


def test_other_parts_when_asked() -> None:
    model = mixture("deepseek_v3")
    report = quantise(model, config(parts=("shared", "attention", "ffn", "router")), None)
    parts = {weight.path for weight in report.weights}
    assert any("shared_experts" in path for path in parts) and any("self_attn" in path for path in parts)
    assert any("layers.0.mlp.gate_proj" in path for path in parts)
    assert any(path.endswith("mlp.gate.weight") for path in parts)
    assert not any(".experts." in path for path in parts)
    twin = dense_twin(model, "deepseek_v3")
    batch = batches("deepseek_v3")[0]
    torch.testing.assert_close(output(model, batch), output(twin, batch), atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_all_parts_on_data(method: str) -> None:
    model = mixture("qwen2_moe")
    parts = ("experts", "shared", "attention", "router")
    report = quantise(model, config(method, parts=parts), batches("qwen2_moe"))
    assert all(".experts." in weight.path and not weight.tokens for weight in report.fallbacks)
    assert len({weight.path for weight in report.weights if weight.how == method}) == 2 * (2 + 3 + 4 + 1)
    batch = batches("qwen2_moe")[0]
    exact = output(mixture("qwen2_moe"), batch)
    assert float((output(model, batch) - exact).norm()) < 0.2 * float(exact.norm())


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_experts_without_tokens_are_rounded_and_reported(method: str) -> None:
    """B12: one expert that no token reaches, and all of them under a floor."""
    model, rounded = mixture("mixtral"), mixture("mixtral")
    for one in (model, rounded):
        router = one.model.layers[0].mlp.gate  # type: ignore[union-attr]
        router.weight.data[3] = 0
        router.weight.data[:3] = router.weight.data[:3].abs() * 0  # equal logits: the first two are chosen
    data = batches("mixtral")
    report = quantise(model, config(method), data)
    quantise(rounded, config("rtn"))
    missed = {weight.expert for weight in report.fallbacks if ".layers.0." in weight.path}
    assert missed and all(weight.tokens == 0 and weight.error is None for weight in report.fallbacks)
    assert all(weight.name in report.summary() and weight.how == "rtn" for weight in report.fallbacks)
    # AWQ scales what all experts read, by those that saw tokens; the hidden neurons of the others stay as they are.
    name = "gate_up_proj" if method == "gptq" else "down_proj"
    ours, theirs = (getattr(one.model.layers[0].mlp.experts, name) for one in (model, rounded))  # type: ignore[union-attr]
    for expert in missed:
        assert torch.equal(ours[expert] + 0, theirs[expert] + 0)
    again = quantise(mixture("mixtral"), config(method, least_tokens=10**6), data)
    assert len(again.fallbacks) == len(again.weights) and "for want of tokens" in again.summary()


@pytest.mark.parametrize("method", METHODS)
def test_an_error_leaves_the_model_as_it_was(method: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Here in the last block, when the first is done."""
    from sparsebench.models.compression.quantisation.rounding.round_block import Rounding

    model = mixture("mixtral")
    before = fingerprints(model)
    put = Rounding._put

    def breaks(self: Rounding, target: Any, quantised: Any) -> None:
        if "layers.1" in target.path:
            raise ModelError("broken off")
        put(self, target, quantised)

    monkeypatch.setattr(Rounding, "_put", breaks)
    with pytest.raises(ModelError, match="broken off"):
        quantise(model, config(method), batches("mixtral"))
    assert fingerprints(model) == before and not any(isinstance(p, PackedTensor) for p in model.parameters())


@pytest.mark.parametrize("method", ["gptq", "awq"])
def test_nan_activations_are_refused_and_the_model_is_untouched(method: str) -> None:
    model = mixture("mixtral")
    model.model.embed_tokens.weight.data[5] = float("nan")  # type: ignore[union-attr]
    before = fingerprints(model)
    data = [{"input_ids": torch.full((1, 6), 5)}]
    with pytest.raises(ModelError, match="NaN or infinite"):
        quantise(model, config(method), data)
    assert fingerprints(model) == before


PADDING = [{"input_ids": torch.full((1, 6), 5), "attention_mask": torch.zeros(1, 6, dtype=torch.int64)}]


@pytest.mark.parametrize(
    ("name", "fields", "data", "message"),
    [
        ("mixtral", {"method": "gptq"}, [], "needs calibration batches"),
        ("mixtral", {"method": "awq"}, None, "needs calibration batches"),
        ("mixtral", {"method": "awq"}, {"input_ids": torch.ones(1, 3)}, "batches is a dict, .*: pass a list"),
        ("mixtral", {"method": "gptq"}, PADDING, "no calibration token reached any of the matrices"),
        ("mixtral", {"method": "awq"}, PADDING, "no calibration token reached any of the matrices"),
        ("listed", {"method": "rtn", "parts": ("router", "shared")}, None, "no linear maps of: shared"),
        ("mixtral", {"parts": ("shared",)}, None, "no linear maps of: shared"),
    ],
)
def test_what_cannot_be_done(name: str, fields: dict[str, Any], data: Any, message: str) -> None:
    model = mixture(name)
    before = fingerprints(model)
    with pytest.raises(ModelError, match=message):
        quantise(model, config(**fields), data)
    assert fingerprints(model) == before


@pytest.mark.parametrize(
    "fields",
    [
        {"method": "int4"},
        {"parts": ("expert",)},
        {"parts": "experts"},
        {"parts": ()},
        {"parts": ("ffn", "ffn")},
        {"least_tokens": 0},
    ],
)
def test_settings_that_cannot_be(fields: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=next(iter(fields))):
        QuantiseConfig(**fields)


def test_weights_that_are_quantised_are_refused() -> None:
    model = mixture("mixtral")
    quantise(model, config())
    with pytest.raises(ModelError, match="quantised already"):
        quantise(model, config())


@pytest.mark.parametrize("name", ["mixtral", "gpt_oss", "converted"])
def test_dequantised_weights_are_ordinary_ones(name: str) -> None:
    model = mixture(name)
    quantise(model, config())
    exact = output(model, batches(name)[0])
    assert dequantise(model) > 0 and dequantise(model) == 0
    assert not any(isinstance(value, PackedTensor) for value in model.parameters())
    torch.testing.assert_close(output(model, batches(name)[0]), exact, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("name", FUSED)
def test_packed_experts_can_be_dropped_and_counted(name: str) -> None:
    """Quantise, then drop: the paper's order. Numbers of parameters stay those of the matrices."""
    model, twin = mixture(name), mixture(name)
    counts = count_parameters(twin)
    quantise(model, config())
    assert count_parameters(model).total == counts.total and count_parameters(model).active == counts.active
    twin = dense_twin(model, name)
    for one in (model, twin):
        for block in describe(one).blocks:
            if block.mlp is not None and block.mlp.experts is not None:
                block.mlp.experts.keep([2, 0, 3] if block.mlp.experts.num_experts > 3 else [2, 0])
    assert stored_bytes(model) < stored_bytes(twin)
    batch = batches(name)[0]
    torch.testing.assert_close(output(model, batch), output(twin, batch), atol=1e-5, rtol=1e-5)


def test_the_ffns_of_a_dense_model() -> None:
    model = stock("Llama")
    for method in METHODS:
        twin = copy.deepcopy(model).eval()
        report = quantise(twin, config(method, parts=("ffn",)), batches("mixtral"))
        assert len(report.weights) == 6 and not report.not_scaled


def test_blocks_have_grids_of_their_own() -> None:
    """Blocks that are not named stay as they are."""
    model = mixture("mixtral")
    before = fingerprints(model)
    grids = {1: Grid(bits=3, group_size=16)}
    report = quantise(model, QuantiseConfig(method="rtn"), grids=grids)
    assert {weight.bits for weight in report.weights} == {3} and all("layers.1" in one.path for one in report.weights)
    after = fingerprints(model)
    assert {name for name in before if before[name] != after[name]} == {
        f"model.layers.1.mlp.experts.{name}" for name in ("down_proj", "gate_up_proj")
    }
    both = mixture("mixtral")
    mixed = {0: Grid(bits=2, group_size=16), 1: Grid(bits=3, group_size=16)}
    found = quantise(both, QuantiseConfig(), batches("mixtral"), grids=mixed)
    assert [weight.bits for weight in found.weights] == [2] * (len(found.weights) // 2) + [3] * (
        len(found.weights) // 2
    )
    with pytest.raises(ModelError, match=r"grids name the blocks \[5\], which have none of these parts"):
        quantise(mixture("mixtral"), QuantiseConfig(method="rtn"), grids={5: Grid()})


@pytest.mark.parametrize(
    ("grid", "message"),
    [
        (Grid(bits=3, group_size=20), "3 bits in groups of 20 .*no multiples of 32.* about 250 times"),
        (Grid(bits=4, group_size=16), "4 bits in groups of 16 .*no multiples of 32.* about 30 times"),
    ],
    ids=str,
)
def test_a_grid_that_no_kernel_reads_is_a_warning_with_the_factor(grid: Grid, message: str) -> None:
    with pytest.warns(SlowGridWarning, match=message) as found:
        quantise(mixture("mixtral"), config(grid=grid))
    assert len([one for one in found if one.category is SlowGridWarning]) == 1


def test_a_grid_that_kernels_read_and_enough_tokens_are_no_warning() -> None:
    long = [{"input_ids": torch.arange(3, 51).view(2, 24)}, {"input_ids": torch.arange(10, 58).view(2, 24)}]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        quantise(mixture("mixtral"), config("gptq", grid=Grid(bits=4, group_size=64)), long)


def test_too_few_tokens_are_a_warning_that_names_the_matrices() -> None:
    few = [{"input_ids": torch.arange(3, 9)[None]}]
    with pytest.warns(
        ScarceCalibrationWarning, match=r"a quarter of the inputs reached \S+gate_up_proj\[\d\] \(\d for 32\)"
    ):
        report = quantise(mixture("mixtral"), config("gptq"), few)
    assert report.scarce and all((one.tokens or 0) < one.inputs / 4 for one in report.scarce)


@pytest.mark.parametrize("method", METHODS)
def test_what_is_not_meant_stays(method: str) -> None:
    """Of AWQ no scale is folded into what only an ignored weight reads."""
    model = stock("Llama")
    ignored = {name: value for name, value in model.named_parameters() if "down_proj" in name or "layers.1." in name}
    before = {name: value.detach().clone() for name, value in ignored.items()}
    meant = {"targets": ("layers",), "ignore": ("down", r"layers\.1\.")}
    report = quantise(model, config(method, parts=("ffn",), **meant), batches(1))
    assert {weight.path for weight in report.weights} == {
        f"model.layers.0.mlp.{name}_proj.weight" for name in ("gate", "up")
    }
    assert all(torch.equal(value, before[name]) for name, value in ignored.items())
    with pytest.raises(ModelError, match="ignore: 'nothing' is found in none of the"):
        quantise(stock("Llama"), config(parts=("ffn",), ignore=("nothing",)))
