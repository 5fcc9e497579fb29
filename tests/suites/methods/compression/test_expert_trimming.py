"""Expert Drop, merging and mean experts as links after a conversion, in language and vision, and what is refused."""

from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import DeepseekV3Config, DeepseekV3ForCausalLM

from sparsebench.models.anatomy import describe
from sparsebench.models.calibration import statistics_cache
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.reports.compression.notes import from_details
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.compression.atom_pruning import AtomPruning
from sparsebench.suites.methods.compression.expert_drop import ExpertDrop
from sparsebench.suites.methods.compression.expert_merging import ExpertMerging
from sparsebench.suites.methods.compression.expert_subset import ExpertSubset
from sparsebench.suites.methods.compression.mean_experts import MeanExperts
from sparsebench.suites.methods.moe._calibration import expert_statistics

from ...reasons import reason
from ..setups import eight_experts, text

KINDS = (ExpertDrop, ExpertMerging, MeanExperts)


def kept(model: Any) -> list[int]:
    mlps = [block.mlp for block in describe(model).blocks if block.mlp is not None]
    return [mlp.experts.num_experts for mlp in mlps if mlp.experts is not None]


@pytest.mark.parametrize("suite", ["llm", "vtab"])
@pytest.mark.parametrize("kind", KINDS)
def test_a_link_after_a_conversion(kind: Any, suite: str) -> None:
    model, context, _ = eight_experts(suite)
    trimmed = kind(train="none").prepare(model, context)
    assert kept(trimmed) == [6] * len(kept(trimmed)) and len(kept(trimmed)) >= 2
    assert torch.isfinite(context.outputs(trimmed, context.batches()[0])).all()


def test_the_options_reach_the_transform() -> None:
    model, context, _ = eight_experts("llm")
    statistics = expert_statistics(model, context)
    options: dict[str, Any] = {"score": "reap", "scope": "global", "reverse": True}
    report = expert_drop(eight_experts("llm")[0], statistics, 0.5, **options)
    dropped = ExpertDrop(keep=0.5, train="none", **options).prepare(model, context)
    assert kept(dropped) == [len(layer.kept) for layer in report.layers]
    model, context, _ = eight_experts("llm")
    assert kept(ExpertDrop(numbers=(3, 5), preserve_gate=True, train="none").prepare(model, context)) == [3, 5]
    routers = [block.mlp.experts.router.get() for block in describe(model).blocks]  # type: ignore[union-attr]
    assert [router.num_routed for router in routers] == [8, 8]


def test_rows_at_many_budgets_look_at_the_model_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Each row has a model of its own, converted anew from the same backbone by the same seed."""
    calls = []
    original = statistics_cache.mixture_statistics
    monkeypatch.setattr(statistics_cache, "mixture_statistics", lambda *a, **k: calls.append(1) or original(*a, **k))
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    numbers = []
    for method in (ExpertDrop(keep=0.5, train="none"), ExpertDrop(keep=0.25, score="reap", train="none")):
        model, context, _ = eight_experts("llm")
        numbers += kept(method.prepare(model, context))
    assert numbers == [4, 4, 2, 2] and len(calls) == 1
    model, context, _ = eight_experts("llm", seed=1)
    ExpertDrop(train="none").prepare(model, context)
    assert len(calls) == 2


def test_random_experts_are_those_of_the_seed() -> None:
    gone = []
    for seed in (0, 0, 1):
        model, context, _ = eight_experts("llm", seed)
        model = ExpertDrop(score="random", train="none").prepare(model, context)
        gone.append([block.mlp.experts.weights(0).up.sum().item() for block in describe(model).blocks])  # type: ignore
    assert gone[0] == gone[1] != gone[2]


def test_what_it_needs() -> None:
    for kind in KINDS:
        assert kind().needs == {"experts", "calibration data"} and kind().may_repeat
        wanted = reason(SyntheticText, "llm", "tiny", kind())
        assert wanted is not None and "it has no experts" in wanted
    assert ExpertMerging().all_outputs and not ExpertMerging(grouping="router").all_outputs


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"keep": 0.0}, r"keep=0.0, the fraction of the experts that stay, must lie in \(0, 1\]"),
        ({"keep": 1.2}, "keep=1.2"),
        ({"numbers": (3, 0)}, r"numbers=\[3, 0\]: each mixture keeps one expert or more; layer_drop takes"),
    ],
)
@pytest.mark.parametrize("kind", KINDS)
def test_an_impossible_config_is_refused_before_anything_runs(kind: Any, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind(**fields)


def deepseek(generator: torch.Generator) -> CausalLM:
    """Its router chooses among two groups of experts."""
    tokenizer = byte_tokenizer()
    config = DeepseekV3Config(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=48,
        moe_intermediate_size=16,
        num_hidden_layers=2,
        num_attention_heads=4,
        num_key_value_heads=4,
        n_routed_experts=8,
        n_group=2,
        topk_group=1,
        num_experts_per_tok=2,
        first_k_dense_replace=1,
        q_lora_rank=None,
        kv_lora_rank=16,
        qk_rope_head_dim=8,
        qk_nope_head_dim=8,
        v_head_dim=8,
    )
    with torch.random.fork_rng():
        torch.manual_seed(0)
        return CausalLM(DeepseekV3ForCausalLM(config).eval(), tokenizer)


def test_merging_leaves_the_numbers_of_its_paper() -> None:
    assert ExpertMerging(grouping="router").scope == "global"
    assert ExpertMerging(grouping="router", numbers=(3, 5)).scope == "layer"
    assert ExpertMerging().scope is None, "the cells of HC-SMoE are what they were"
    model, context, _ = eight_experts("llm")
    found = ExpertMerging(grouping="router", keep=0.5, train="none").prepare(model, context)
    assert sum(kept(found)) == 8
    model, context, _ = eight_experts("llm")
    assert kept(ExpertMerging(grouping="router", numbers=(3, 5), train="none").prepare(model, context)) == [3, 5]


def test_a_router_that_chooses_among_groups_cannot_drop_over_all_layers() -> None:
    found = text(deepseek)
    with pytest.raises(NotApplicable, match="scope='global': the router at model"):
        ExpertDrop(scope="global").prepare(found.model, found.context)
    assert kept(found.model) == [8]
    assert kept(MeanExperts(keep=0.5, train="none").prepare(found.model, found.context)) == [4]


@pytest.mark.parametrize("suite", ["llm", "vtab"])
def test_the_best_subset_and_the_neurons_that_the_loss_needs_least(suite: str) -> None:
    """NAEE and HEAPr as links after a conversion, with what they note."""
    model, context, _ = eight_experts(suite)
    trimmed = ExpertSubset(train="none").prepare(model, context)
    assert kept(trimmed) == [6] * len(kept(trimmed))
    noted = from_details(1, context.notes["compression"])
    assert noted.values("experts") == [6] * len(kept(trimmed)) and all(0 <= x < 1 for x in noted.values("error"))
    model, context, _ = eight_experts(suite)
    masked = AtomPruning(keep=0.5, train="none").prepare(model, context)
    noted = from_details(1, context.notes["compression"])
    assert noted.bytes[0] == noted.bytes[1] and sum(noted.zeros()) / len(noted.zeros()) == pytest.approx(0.5, abs=0.02)
    assert torch.isfinite(context.outputs(masked, context.batches()[0])).all()


def test_sets_that_are_too_many_are_not_applicable() -> None:
    model, context, _ = eight_experts("llm")
    with pytest.raises(NotApplicable, match="8 experts have 28 sets of 6, more than 27"):
        ExpertSubset(most=27, train="none").prepare(model, context)
    for kind in (ExpertSubset, AtomPruning):
        assert kind().needs == {"experts", "calibration data"}
        with pytest.raises(ValueError, match=r"must lie in \(0, 1\]"):
            kind(keep=0.0)
