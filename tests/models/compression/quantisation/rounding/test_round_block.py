"""Rounding one target: experts apart, fallbacks, errors as shares, packed in place."""

import pytest
import torch
from torch import nn

from sparsebench.models.compression.quantisation import AWQConfig, GPTQConfig, Grid, PackedTensor
from sparsebench.models.compression.quantisation.changes import Changes
from sparsebench.models.compression.quantisation.grid import round_to_nearest
from sparsebench.models.compression.quantisation.report import QuantisationReport
from sparsebench.models.compression.quantisation.rounding.gptq import gptq
from sparsebench.models.compression.quantisation.rounding.moments import Moments
from sparsebench.models.compression.quantisation.rounding.round_block import Rounding, relative_error
from sparsebench.models.compression.quantisation.targets import Target

GRID = Grid(bits=3, group_size=8)


def stack() -> tuple[nn.Module, Target]:
    """Two experts (6, 10)."""
    parent = nn.Module()
    parent.up = nn.Parameter(torch.randn(2, 6, 10, generator=torch.Generator().manual_seed(0)))
    target = Target(
        path="x.up",
        parent=parent,
        name="up",
        block=0,
        part="experts",
        transposed=False,
        hidden=False,
        sources=(None, None),
        experts=(0, 1),
    )
    return parent, target


def rounding(report: QuantisationReport, least: int = 1, *, clip: bool = False) -> Rounding:
    return Rounding(GRID, GPTQConfig(), AWQConfig(clip=clip), least, Changes(), report)


def moments(tokens: int, seed: int = 1) -> Moments:
    found = Moments(10, torch.zeros(1))
    if tokens:
        rows = torch.randn(tokens, 10, generator=torch.Generator().manual_seed(seed)) @ torch.ones(10, 10).tril()
        found.add(rows)
    return found


def test_each_expert_by_its_own_moments_and_to_nearest_without_any() -> None:
    parent, target = stack()
    dense = parent.up.detach().clone()
    report = QuantisationReport(method="gptq")
    seen = moments(50)
    rounding(report).gptq(target, [seen, moments(0)])
    assert isinstance(parent.up, PackedTensor)
    assert torch.equal(parent.up[0] + 0, gptq(dense[0], seen.second, GRID).dense())
    assert torch.equal(parent.up[1] + 0, round_to_nearest(dense[1], GRID).dense())
    assert [(weight.expert, weight.how, weight.tokens) for weight in report.weights] == [(0, "gptq", 50), (1, "rtn", 0)]
    assert report.weights[1].error is None and report.fallbacks == report.weights[1:]


def test_a_floor_of_tokens() -> None:
    _, target = stack()
    report = QuantisationReport(method="gptq")
    rounding(report, least=40).gptq(target, [moments(39), moments(40)])
    assert [weight.how for weight in report.weights] == ["rtn", "gptq"]


def test_errors_are_shares_of_the_outputs() -> None:
    weight = torch.randn(6, 10, generator=torch.Generator().manual_seed(2))
    rows = torch.randn(30, 10, generator=torch.Generator().manual_seed(3))
    seen = Moments(10, rows)
    seen.add(rows)
    found = round_to_nearest(weight, GRID)
    wanted = (rows @ (found.dense() - weight).T).square().sum() / (rows @ weight.T).square().sum()
    assert relative_error(weight, found, seen) == pytest.approx(float(wanted), rel=1e-4)
    assert relative_error(weight, found, Moments(10, rows)) is None


def test_clipping_is_an_option() -> None:
    errors = []
    for clip in (False, True):
        _, target = stack()
        report = QuantisationReport(method="awq")
        rounding(report, clip=clip).awq(target, [moments(50), moments(60)])
        errors.append(report.error())
    assert errors[0] is not None and errors[1] is not None and errors[0] != errors[1]


def test_without_data_nothing_is_known_of_errors() -> None:
    parent, target = stack()
    report = QuantisationReport()
    rounding(report).nearest(target)
    assert isinstance(parent.up, PackedTensor)
    assert [(weight.how, weight.tokens, weight.error) for weight in report.weights] == [("rtn", None, None)] * 2
