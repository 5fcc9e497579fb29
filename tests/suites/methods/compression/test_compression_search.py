"""The search as a link after a conversion, in language and vision; healed; and what is refused."""

from typing import Any

import pytest
import torch

from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.compression.compression_search import CompressionSearch
from sparsebench.suites.methods.shared.tune import Tune

from ...reasons import reason
from ..setups import eight_experts

FAST: dict[str, Any] = {"experts": (0.5,), "widths": (0.5,), "bits": (3,), "group_size": 16, "anchors": 1}


@pytest.mark.parametrize("suite", ["llm", "vtab"])
@pytest.mark.parametrize("of", ["bytes", "active"])
def test_a_link_after_a_conversion(suite: str, of: Any) -> None:
    model, context, _ = eight_experts(suite)
    before = {"bytes": stored_bytes(model), "active": count_parameters(model).active}
    made = CompressionSearch(keep=0.85, of=of, train="none", **FAST).prepare(model, context)
    after = {"bytes": stored_bytes(made), "active": count_parameters(made).active}
    assert after[of] <= 0.85 * before[of] and after["bytes"] < before["bytes"]
    assert torch.isfinite(context.outputs(made, context.batches()[0])).all()
    # Statistics, one trial of each mixture at the least, and the recipes on what was held out.
    assert context.notes["search"]["passes"] > 2
    assert not any(module._forward_hooks for module in made.modules())


def test_it_is_healed() -> None:
    """Without bits all weights train afterwards, those of narrower and fewer experts too."""
    model, context, data = eight_experts("vtab")
    link = CompressionSearch(keep=0.8, change=("experts", "width"), train="none", **FAST)
    model = link.deploy(link.prepare(model, context))
    size = stored_bytes(model)
    before = [value.detach().clone() for value in model.parameters()]
    tune = Tune(train="all")
    model = tune.prepare(model, context)
    tune.fit(model, data, context)
    assert stored_bytes(tune.deploy(model)) == size
    assert sum(not torch.equal(now, then) for now, then in zip(model.parameters(), before, strict=True)) > 5


def test_a_budget_that_cannot_be_kept_says_what_can() -> None:
    model, context, _ = eight_experts("llm")
    before = stored_bytes(model)
    with pytest.raises(NotApplicable, match=r"bytes=0.01 allows .* the least that these options reach is"):
        CompressionSearch(keep=0.01, train="none", **FAST).prepare(model, context)
    assert stored_bytes(model) == before


def test_what_it_needs() -> None:
    assert CompressionSearch().needs == {"experts", "calibration data"} and CompressionSearch().may_repeat
    wanted = reason(SyntheticText, "llm", "tiny", CompressionSearch())
    assert wanted is not None and "it has no experts" in wanted


def test_the_options_reach_the_search() -> None:
    settings = CompressionSearch(change=("bits",), bits=(4,), keep=0.4, method="rtn", symmetric=False).search_config()
    assert settings.space.bits == (4,) and not (
        settings.space.experts or settings.space.widths or settings.space.layers
    )
    assert (
        settings.budget.bytes == 0.4
        and settings.rounding(4).method == "rtn"
        and not settings.rounding(4).grid.symmetric
    )
    assert CompressionSearch().search_config(generates=False).distance == "states"


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keep": 0.0}, "bytes=0.0"),
        ({"keep": 1.5, "of": "active"}, "active=1.5"),
        ({"change": ()}, "nothing may change"),
        ({"bits": (9,)}, "bits=9"),
        ({"experts": (1.0,)}, "experts: a fraction of 1.0"),
        ({"train": "all"}, "quantised weights do not train: take bits out"),
    ],
)
def test_an_impossible_config_is_refused_before_anything_runs(fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        CompressionSearch(**fields)
