"""Trimmed mixtures come back from their files as they were."""

from pathlib import Path
from typing import Any

import pytest
import torch
import transformers

from sparsebench.models.compression import expert_drop
from sparsebench.models.compression.trimming.experts.mean_outputs import replace_by_mean
from sparsebench.models.compression.trimming.experts.mixtures import mixtures_of
from sparsebench.models.compression.trimming.experts.saved_form import MARK, TrimmedMixtures, note_trimmed
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import MoEConfig, convert, to_dense
from sparsebench.models.moe.stock_export.source import Source

from ..decoding import reopened
from .cases import experts_of, model_of, outputs, statistics_of


def trimmed(case: str, how: str) -> Any:
    model = model_of(case)
    statistics = statistics_of(case, model)
    if how == "constants":
        replace_by_mean(model, statistics, 4)
    elif how == "rows stay":
        expert_drop(model, statistics, 4, preserve_gate=True)
    else:
        expert_drop(model, statistics, [5, 3] if len(statistics) == 2 else [4])
    return model


@pytest.mark.parametrize("how", ["constants", "rows stay", "uneven"])
@pytest.mark.parametrize("case", ["Mixtral", "Qwen2Moe", "GptOss", "GraniteMoe", "converted"])
def test_files(case: str, how: str, tmp_path: Path) -> None:
    model = trimmed(case, how)
    before = outputs(case, model)
    again = reopened(model, tmp_path / "first")
    assert torch.equal(outputs(case, again), before)
    assert [one.num_experts for one in experts_of(again)] == [one.num_experts for one in experts_of(model)]
    assert [one.top_k for one in experts_of(again)] == [one.top_k for one in experts_of(model)]
    assert again.state_dict().keys() == model.state_dict().keys()
    # What was loaded is trimmed and saved again as the first one was.
    expert_drop(again, statistics_of(case, again), 2, score="frequency")
    after = outputs(case, again)
    assert torch.equal(outputs(case, reopened(again, tmp_path / "again")), after)


def test_a_model_that_is_even_again_is_a_stock_one() -> None:
    model = trimmed("Mixtral", "uneven")
    assert type(model) is not transformers.MixtralForCausalLM and model.config.num_local_experts == 5
    assert [MARK in vars(mixture.mlp.site.get()) for mixture in mixtures_of(model)] == [True, True]
    part = TrimmedMixtures()
    assert part.describe(model) == {"blocks": {"0": [5, 0, 0], "1": [3, 0, 0]}}
    expert_drop(model, statistics_of("Mixtral", model), 3)
    assert type(model) is transformers.MixtralForCausalLM and model.config.num_local_experts == 3
    assert not any(map(part.holds, model.modules()))
    note_trimmed(model)
    assert type(model) is transformers.MixtralForCausalLM


def test_tables_are_described() -> None:
    model = trimmed("Mixtral", "constants")
    assert TrimmedMixtures().describe(model) == {"blocks": {"0": [4, 6, 2], "1": [4, 6, 2]}}
    assert model.config.num_local_experts == 6 and model.config.num_experts_per_tok == 2


def test_what_has_no_dense_layer_and_no_stock_form_says_so() -> None:
    model = trimmed("converted", "rows stay")
    with pytest.raises(ModelError, match="merged, replaced or dropped while the router stayed as it was"):
        to_dense(model)
    llama = convert(build_tiny_llama(), MoEConfig(num_experts=6, top_k=2, score="softmax_topk"))
    expert_drop(llama, statistics_of("converted", llama), 4, preserve_gate=True)
    with pytest.raises(ModelError, match="which no stock mixture can say"):
        Source.of(llama)


def build_tiny_llama() -> Any:
    config = transformers.LlamaConfig(
        hidden_size=16, intermediate_size=12, num_hidden_layers=1, num_attention_heads=2, vocab_size=32
    )
    return transformers.LlamaForCausalLM(config).double().eval()
