"""Expert Drop in every layout: what is left computes what it computed, nothing else moves (B1, B2, B5, B6, B11-B13)."""

import copy
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.anatomy import Experts, describe
from sparsebench.models.compression import expert_drop
from sparsebench.models.compression.trimming.experts.drop import DroppedExperts
from sparsebench.models.counting import count_parameters, stored_bytes
from sparsebench.models.errors import ModelError

from ..decoding import decodes_and_comes_back
from .cases import CASES, experts_of, model_of, outputs, statistics_of

GROUPED = ("Glm4Moe", "Dots1", "DeepseekV2", "DeepseekV3")
"""Their routers choose one of two groups of three experts first."""


def untouched(model: nn.Module) -> dict[str, Tensor]:
    """All tensors but those of routers and routed experts."""
    routed: set[int] = set()
    for experts in experts_of(model):
        for module in (experts.router.get(), experts.module.get()):  # type: ignore[union-attr]
            routed |= {id(value) for value in (*module.parameters(), *module.buffers())}
    found = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    return {name: value.clone() for name, value in found.items() if id(value) not in routed and "neurons" not in name}


def silence(experts: Experts, chosen: Iterable[int]) -> None:
    for expert in chosen:
        weights = experts.weights(expert)
        weights.down.zero_()
        if weights.down_bias is not None:
            weights.down_bias.zero_()


@pytest.mark.parametrize("preserve_gate", [False, True])
@pytest.mark.parametrize("case", CASES)
def test_keeping_all_changes_no_bit(case: str, preserve_gate: bool) -> None:
    """B2."""
    model = model_of(case)
    before = outputs(case, model)
    state = {name: value.clone() for name, value in model.state_dict().items()}
    report = expert_drop(model, statistics_of(case, model), 6, preserve_gate=preserve_gate)
    assert torch.equal(outputs(case, model), before)
    assert state.keys() == model.state_dict().keys()
    assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
    assert report.bytes_before == report.bytes_after and all(not layer.dropped for layer in report.layers)


@pytest.mark.parametrize("case", CASES)
def test_experts_and_router_rows_are_those_that_were_kept(case: str) -> None:
    """And nothing else moved: shared experts, attention, embeddings (B11)."""
    model = model_of(case)
    statistics = statistics_of(case, model)
    old = copy.deepcopy(model)
    rest = untouched(model)
    report = expert_drop(model, statistics, 4)
    assert stored_bytes(model) == report.bytes_after < report.bytes_before == stored_bytes(old)
    counts = count_parameters(model)
    assert counts.total == sum(parameter.numel() for parameter in model.parameters()) < count_parameters(old).total
    for now, then, layer in zip(experts_of(model), experts_of(old), report.layers, strict=True):
        assert now.num_experts == len(layer.kept) == 4 and sorted(layer.kept + layer.dropped) == list(range(6))
        assert now.top_k == 2
        for place, expert in enumerate(layer.kept):
            for ours, theirs in zip(now.weights(place), then.weights(expert), strict=True):
                assert (ours is None and theirs is None) or torch.equal(ours, theirs)
        for ours, theirs in zip(now.rows, then.rows, strict=True):
            assert torch.equal(ours.get(), theirs.get()[list(layer.kept)])
    for name, value in untouched(model).items():
        assert torch.equal(value, rest[name]), name
    assert torch.isfinite(outputs(case, model)).all()


@torch.no_grad()
@pytest.mark.parametrize(("case", "renormalises"), [("Mixtral", True), ("Olmoe", False), ("Qwen3Moe", False)])
def test_experts_that_no_token_chose(case: str, renormalises: bool) -> None:
    """B1: exact where weights are divided by their sum. Otherwise the softmax has fewer terms, unless rows stay."""
    model = model_of(case)
    if case == "Mixtral":
        assert not hasattr(model.config, "norm_topk_prob")
    else:
        assert model.config.norm_topk_prob is renormalises
    for experts in experts_of(model):
        # Of each of the pairs (a, -a) and (b, -b) one logit is above 0; those of the last two experts are 0.
        weight = experts.router.get().weight
        weight[2:4] = -weight[:2]
        weight[4:] = 0
    statistics = statistics_of(case, model)
    unseen = [(layer.counts == 0).nonzero().flatten().tolist() for layer in statistics]
    assert all({4, 5} <= set(some) for some in unseen)
    before = outputs(case, model)
    keep = [6 - len(some) for some in unseen]
    for preserve_gate in (False, True):
        copied = copy.deepcopy(model)
        report = expert_drop(copied, statistics, keep, score="frequency", preserve_gate=preserve_gate)
        assert [list(layer.dropped) for layer in report.layers] == unseen
        assert [list(layer.unseen) for layer in report.layers] == unseen
        assert "had seen no calibration token" in str(report)
        if renormalises or preserve_gate:
            torch.testing.assert_close(outputs(case, copied), before, atol=1e-6, rtol=0)
        else:
            assert (outputs(case, copied) - before).abs().max() > 1e-6


@torch.no_grad()
@pytest.mark.parametrize("case", CASES)
def test_preserved_rows_lose_their_term(case: str) -> None:
    """As if the down projections of the dropped experts, with their biases, were 0; but they are gone."""
    model = model_of(case)
    statistics = statistics_of(case, model)
    silent = copy.deepcopy(model)
    bytes_before = stored_bytes(model)
    report = expert_drop(model, statistics, 4, preserve_gate=True)
    for experts, layer in zip(experts_of(silent), report.layers, strict=True):
        silence(experts, layer.dropped)
    torch.testing.assert_close(outputs(case, model), outputs(case, silent), atol=1e-10, rtol=1e-10)
    assert [experts.num_experts for experts in experts_of(model)] == [4] * len(report.layers)
    assert stored_bytes(model) < bytes_before
    # Dropping on: of four behind a table, two stay.
    again = expert_drop(model, statistics_of(case, model), 2, score="frequency", preserve_gate=True)
    assert [len(layer.kept) for layer in again.layers] == [2] * len(again.layers)
    for experts, first, second in zip(experts_of(silent), report.layers, again.layers, strict=True):
        silence(experts, [first.kept[place] for place in second.dropped])
    torch.testing.assert_close(outputs(case, model), outputs(case, silent), atol=1e-10, rtol=1e-10)


@pytest.mark.parametrize("case", sorted(set(CASES) - set(GROUPED)))
def test_fewer_experts_than_a_token_had(case: str) -> None:
    """B5: the effective top-k is min(k, kept); DeepSeek's released code broke there."""
    model = model_of(case)
    statistics = statistics_of(case, model)
    expert_drop(model, statistics, [1] * len(statistics))
    for experts in experts_of(model):
        assert experts.num_experts == experts.top_k == 1
    assert torch.isfinite(outputs(case, model)).all()


def test_layers_dropped_first_do_not_shift_the_experts() -> None:
    """B6: a block without its mixture, then global Expert Drop, against the same choice by brute force."""
    config = transformers.MixtralConfig(
        hidden_size=16,
        intermediate_size=10,
        num_hidden_layers=4,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=32,
        num_local_experts=6,
        num_experts_per_tok=2,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        model = transformers.MixtralForCausalLM(config).double().eval()
    model.set_experts_implementation("eager")
    describe(model).blocks[1].remove_mlp()
    statistics = statistics_of("Mixtral", model)
    assert [layer.block for layer in statistics] == [0, 2, 3]
    pairs = []
    for layer in statistics:
        assert layer.gated_norm is not None
        for expert, value in enumerate((layer.gated_norm / layer.counts.clamp_min(1)).tolist()):
            pairs.append((value, layer.block, expert))
    best = sorted(pairs, reverse=True)[:9]
    wanted = {block: sorted(expert for _, b, expert in best if b == block) for block in (0, 2, 3)}
    assert all(wanted.values()), "the case is about layers that all keep some"
    report = expert_drop(model, statistics, 3, scope="global")
    assert {int(layer.layer.split(".")[2]): list(layer.kept) for layer in report.layers} == wanted
    assert torch.isfinite(outputs("Mixtral", model)).all()


def test_one_pass_serves_many_budgets_and_scores() -> None:
    model = model_of("Mixtral")
    statistics = statistics_of("Mixtral", model)
    kept = {}
    for keep in (5, 3, 1):
        kept[keep] = expert_drop(copy.deepcopy(model), statistics, [keep] * 2).layers
    for more, fewer in ((5, 3), (3, 1)):
        assert all(set(b.kept) < set(a.kept) for a, b in zip(kept[more], kept[fewer], strict=True))
    best = expert_drop(copy.deepcopy(model), statistics, 3).layers
    worst = expert_drop(copy.deepcopy(model), statistics, 3, reverse=True).layers
    assert all(set(a.kept) == set(b.dropped) for a, b in zip(best, worst, strict=True))
    drawn = [
        expert_drop(
            copy.deepcopy(model), statistics, 3, score="random", generator=torch.Generator().manual_seed(seed)
        ).layers
        for seed in (0, 0, 1)
    ]
    assert drawn[0] == drawn[1] != drawn[2]


def test_float32_and_float64_choose_alike() -> None:
    """B13."""
    model = model_of("Qwen2Moe")
    exact = expert_drop(copy.deepcopy(model), statistics_of("Qwen2Moe", model), 3).layers
    narrow = model.float()
    assert expert_drop(narrow, statistics_of("Qwen2Moe", narrow), 3).layers == exact


@pytest.mark.parametrize("scope", ["layer", "global"])
def test_a_dropped_mixtral_is_saved_and_generates(scope: Any, tmp_path: Path) -> None:
    """A uniform drop is a stock Mixtral with fewer experts."""
    model = model_of("Mixtral")
    keep: Any = 4 if scope == "layer" else [5, 3]
    report = expert_drop(model, statistics_of("Mixtral", model), keep)
    assert [len(layer.kept) for layer in report.layers] == ([4, 4] if scope == "layer" else [5, 3])
    again = decodes_and_comes_back(model, tmp_path)
    if scope == "layer":
        assert type(again) is type(model) is transformers.MixtralForCausalLM
    assert model.config.num_local_experts == max(len(layer.kept) for layer in report.layers)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"keep": 7}, "keep=7: the mixture with the router"),
        ({"keep": 3, "score": "best"}, "score='best' is not one of"),
        ({"keep": 3, "scope": "all"}, "scope='all' is not one of"),
        ({"keep": 3, "least": 4}, "keep=3"),
    ],
)
def test_bad_input_changes_nothing(options: dict[str, Any], message: str) -> None:
    model = model_of("GptOss")
    statistics = statistics_of("GptOss", model)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    with pytest.raises(ModelError, match=message):
        expert_drop(model, statistics, **options)
    with pytest.raises(ModelError, match="the statistics are of 1 mixtures"):
        expert_drop(model, statistics[:1], 3)
    assert all(torch.equal(before[name], value) for name, value in model.state_dict().items())
    assert model.config.num_local_experts == 6


def test_a_report_says_what_went() -> None:
    layer = DroppedExperts("mlp", (0, 1, 2), (3,), ())
    assert layer.dropped == (3,)
    model = model_of("Mixtral")
    report = expert_drop(model, statistics_of("Mixtral", model), 5)
    assert str(report).startswith("2 of 12 experts dropped, 0.0 MiB saved")
    assert repr(report) == f"ExpertDropReport({report})"
    assert all(layer.layer in report._repr_html_() for layer in report.layers)
