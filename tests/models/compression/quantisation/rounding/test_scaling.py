"""The scales of a block: nothing changes before rounding (B10), and errors are no larger than without them."""

import pytest
import torch

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration.by_block import by_block
from sparsebench.models.compression.quantisation import AWQConfig, GPTQConfig, Grid, QuantiseConfig, quantise
from sparsebench.models.compression.quantisation.changes import Changes
from sparsebench.models.compression.quantisation.report import QuantisationReport
from sparsebench.models.compression.quantisation.rounding.moments import moments_of
from sparsebench.models.compression.quantisation.rounding.round_block import Rounding
from sparsebench.models.compression.quantisation.rounding.scaling import scale_block
from sparsebench.models.compression.quantisation.targets import targets_of

from ....stock_mixtures import stock
from ...slimming.mixtures import batches, mixture
from ..models import output, routers

GRID = Grid(bits=3, group_size=16)


@pytest.mark.parametrize("name", ["mixtral", "qwen2_moe", "gpt_oss", "deepseek_v3", "granite", "converted", "vit"])
def test_scaling_alone_changes_no_output(name: str) -> None:
    model = mixture(name)
    before = output(model, batches(name)[0])
    was = routers(model)
    report = QuantisationReport(method="awq")
    targets = targets_of(describe(model), ("experts",))
    with Changes() as changes:
        rounding = Rounding(GRID, GPTQConfig(), AWQConfig(), 1, changes, report)
        for step in by_block(model, batches(name)):
            own = [target for target in targets if target.block == step.block.index]
            if own:
                scale_block(step, own, moments_of(step, own), rounding)
    assert report.scaled
    torch.testing.assert_close(output(model, batches(name)[0]), before, atol=1e-5, rtol=1e-5)
    assert any(not torch.equal(old, new) for old, new in zip(was, routers(model), strict=True))


@pytest.mark.parametrize("name", ["mixtral", "deepseek_v3", "converted"])
def test_errors_are_no_larger_than_by_rounding(name: str) -> None:
    """Summed over the matrices of a block, the search starts from no scale."""
    errors = []
    for steps in (1, 20):
        config = QuantiseConfig(method="awq", grid=GRID, awq=AWQConfig(steps=steps))
        report = quantise(mixture(name), config, batches(name))
        errors.append(report.error())
    assert errors[0] is not None and errors[1] is not None and errors[1] < errors[0]


def test_what_is_not_scaled_is_reported() -> None:
    report = quantise(mixture("gpt_oss"), QuantiseConfig(method="awq", grid=GRID), batches("gpt_oss"))
    assert report.not_scaled == {
        f"model.layers.{block}.mlp.experts.down_proj": "no gate, or gate and up lie in turn" for block in (0, 1)
    }
    assert "not scaled" in report.summary()


def test_a_norm_without_a_scale_of_its_own_is_reported() -> None:
    model = stock("Olmo").eval()
    config = QuantiseConfig(method="awq", grid=GRID, parts=("ffn",))
    report = quantise(model, config, batches("mixtral"))
    assert report.not_scaled == {
        f"model.layers.{block}.post_attention_layernorm": "it has no scale of its own" for block in (0, 1)
    }


def test_a_norm_that_counts_from_1_is_reported() -> None:
    """Gemma multiplies by 1 + w, so that dividing w does not divide the output."""
    model = stock("Gemma", head_dim=8).eval()
    torch.nn.init.normal_(model.model.layers[0].post_attention_layernorm.weight)  # type: ignore[union-attr]
    config = QuantiseConfig(method="awq", grid=GRID, parts=("ffn",))
    report = quantise(model, config, batches("mixtral"))
    assert "model.layers.0.post_attention_layernorm" in report.not_scaled
