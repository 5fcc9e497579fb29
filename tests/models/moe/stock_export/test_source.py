"""What a converted model asks of a stock architecture; the files themselves are in `test_export.py`."""

from collections.abc import Callable

import pytest
import torch
from torch import nn

from sparsebench.models.errors import ModelError
from sparsebench.models.moe import AttnMoEConfig, MoEConfig, convert
from sparsebench.models.moe.layer import Alignment
from sparsebench.models.moe.stock_export.features import MULTIPLIERS, SHARED
from sparsebench.models.moe.stock_export.source import Source

from ...foreign_engines.exports import CASES

Build = Callable[[str], nn.Module]
Make = Callable[..., Source]


def test_widths_are_those_of_the_largest_parts(source: Make) -> None:
    found = source(num_shared=2, top_k=3)
    assert found.routing == ("softmax", True, 3, 6)
    assert found.expert_width == 8  # blocks of 7 and 6 neurons, filled up to whole rows of 8
    assert found.shared_width == 16  # 14 neurons
    assert found.dense == [] and len(found.mixtures) == 2


@pytest.mark.parametrize(
    ("fields", "part"),
    [
        ({"router": "mlp"}, "a router of the kind 'mlp'"),
        ({"score": "none"}, "equal weights of the chosen experts"),
        ({"attn": AttnMoEConfig(num_experts=2, top_k=1)}, "attention of the kind 'AttentionMoE'"),
    ],
)
def test_foreign_parts_are_named(fields: dict, part: str, source: Make) -> None:
    found = source(**fields).foreign()
    assert len(found) == 1 and found[0].startswith(part)


def test_other_foreign_parts(build: Build, source: Make) -> None:
    found = source()
    assert found.foreign() == []
    found.mixtures[0].alignment = Alignment(torch.ones(32), torch.zeros(32))
    assert found.foreign() == []  # a gain is folded in
    found.mixtures[0].alignment = Alignment(torch.ones(32), torch.ones(32))
    assert found.foreign() == ["an offset (align=True)"]
    model = convert(build("llama"), MoEConfig(layers=(0,)))
    convert(model, MoEConfig(layers=(1,), top_k=3))
    assert Source.of(model).foreign() == ["blocks that route differently"]


def test_what_is_kept_is_all_but_the_mixtures(source: Make) -> None:
    found = source(layers=(1,))
    kept = found.kept()
    assert "model.layers.0.mlp.up_proj.weight" in kept and "model.norm.weight" in kept
    assert not any(name.startswith("model.layers.1.mlp.") for name in kept)
    assert any(name.startswith("model.layers.1.self_attn.") for name in kept)


def test_configuration_that_goes_over(source: Make) -> None:
    found = source()
    config = found.config()
    assert config["hidden_size"] == 32 and config["head_dim"] == 8 and config["dtype"] == torch.float32
    assert config["tie_word_embeddings"] == (found.model.lm_head.weight is found.model.model.embed_tokens.weight)


def test_forms_are_tried_from_the_plain_one_on(source: Make) -> None:
    def forms(found: Source) -> list[tuple[bool, bool]]:
        return [(form.folded, form.repeated) for form in found.forms()]

    assert forms(source()) == [(False, False)]
    assert forms(source(num_shared=1)) == [(False, False), (False, True)]
    assert forms(source(num_shared=1, score="softmax_topk", renorm=False)) == [(False, False)]
    granite = Source.of(CASES["Granite, shared"].model())
    assert forms(granite) == [(False, False), (True, False), (False, True), (True, True)]
    *_, last = granite.forms()
    assert {SHARED, MULTIPLIERS} <= granite.features and not {SHARED, MULTIPLIERS} & last.features
    assert (granite.expert_width, granite.shared_width) == (32, 32)
    assert (last.expert_width, last.shared_width) == (64, 0)
    assert (granite.factor, last.factor) == (1.0, 0.6) and last.config()["tie_word_embeddings"] is False


def test_models_without_a_stock_form(build: Build, source: Make) -> None:
    for family in ("bert", "vit", "timm_vit"):
        with pytest.raises(ModelError, match="no stock mixture of experts has the form of a"):
            source(family)
    with pytest.raises(ModelError, match="no layer made by"):
        Source.of(build("llama"))
