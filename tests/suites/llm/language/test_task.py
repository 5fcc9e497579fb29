import dataclasses
from collections.abc import Callable
from typing import Any

import pytest
import timm
import torch

from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import Method, NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CALIBRATION_WINDOW, COST_WINDOW
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.compression.neuron_pruning import NeuronPruning
from sparsebench.suites.methods.moe.cmoe import CMoE
from sparsebench.suites.methods.moe.llama_moe_v1 import LlamaMoEV1
from sparsebench.suites.methods.moe.llama_moe_v2 import LlamaMoEV2
from sparsebench.suites.methods.moe.moe_attention import MoEAttention
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.methods.moe.moe_shared import SharedSplit
from sparsebench.suites.prediction.task import PredictionTask

from ...reasons import reason

METHODS = [
    Dense(),
    RandomSplit(),
    RandomSplit(top_k=6, router_init="energy"),
    SharedSplit(),
    SharedSplit(top_k=3),
    LlamaMoEV1(),
    LlamaMoEV1(preset="2of8", scale="calibrated"),
    LlamaMoEV1(preset="2of16", split="cluster"),
    LlamaMoEV2(),
    LlamaMoEV2(preset="8top2", align=True),
    LlamaMoEV2(faithful=True),
    CMoE(),
    CMoE(num_shared=0, top_k=6, split="random"),
    CMoE(num_shared=1, top_k=5, split="residual"),
    MoEAttention(),
    MoEAttention(mode="keep_kv"),
    NeuronPruning(),
    NeuronPruning(which="bottom"),
]


def windows(context: Context, **changes: Any) -> torch.Tensor:
    filled = SyntheticText().setup(tiny.load, dataclasses.replace(context, **changes)).context
    return torch.cat([batch["input_ids"] for batch in filled.batches()])


def test_calibration_windows_differ_by_seed_only(context: Context) -> None:
    first = windows(context)
    assert first.shape == (3, CALIBRATION_WINDOW)
    assert torch.equal(first, windows(context, task="another"))
    assert not torch.equal(first, windows(context, seed=1))


class TwoDomains(SyntheticText):
    calibration_domains = ("letters", "digits")

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Documents that show where they come from."""
        return ({"letters": "abcd ", "digits": "0123 "}[domain] * 400,)


def test_a_budget_chooses_the_domains_of_calibration_windows(with_budget: Callable[..., Context]) -> None:
    def texts(**budget: Any) -> list[set[str]]:
        ready = TwoDomains().setup(tiny.load, with_budget(calibration_examples=4, **budget))
        rows = torch.cat([batch["input_ids"] for batch in ready.context.batches()])
        return [set(ready.backbone.tokenizer.decode(row.tolist())) - {" "} for row in rows]

    assert texts() == [set("abcd"), set("0123")] * 2
    assert texts(calibration_domains=("digits",)) == [set("0123")] * 4


def test_no_calibration_window_is_wanted_and_none_is_drawn(with_budget: Callable[..., Context]) -> None:
    assert sum(len(batch) for batch in windows(with_budget(calibration_examples=0))) == 0


def test_domains_take_turns(context: Context, with_budget: Callable[..., Context]) -> None:
    class ThreeDomains(SyntheticText):
        calibration_domains = ("a", "b", "c")

        def documents(self, domain: str, part: Any) -> tuple[str, ...]:
            return (domain * 2000,)

    setup = ThreeDomains().setup(tiny.load, with_budget(calibration_examples=5))
    rows = torch.cat([batch["input_ids"] for batch in setup.context.batches()])
    letters = tiny.load(torch.Generator()).tokenizer.convert_ids_to_tokens(rows[:, 0].tolist())
    assert letters == ["a", "b", "c", "a", "b"]


def test_loss_and_outputs_are_those_of_the_model(context: Context) -> None:
    setup = SyntheticText().setup(tiny.load, context)
    batch = setup.context.batches()[0]
    model: Any = setup.model
    assert torch.equal(setup.context.outputs(model, batch), model(input_ids=batch["input_ids"]).logits)
    expected = model(input_ids=batch["input_ids"], labels=batch["labels"]).loss
    torch.testing.assert_close(setup.context.loss(model, batch), expected)
    assert setup.context.target.outputs == 257


@pytest.mark.parametrize("method", METHODS, ids=str)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16], ids=str)
def test_every_method_gives_a_score_and_costs(method: Method, dtype: torch.dtype, context: Context) -> None:
    outcome = SyntheticText().run([method], tiny.load, dataclasses.replace(context, dtype=dtype))
    assert outcome.metrics[outcome.main_metric].value == pytest.approx(8, rel=0.1)
    assert set(outcome.times) == {"load", "prepare", "fit", "evaluate", "measure"}
    assert outcome.costs is not None
    assert outcome.costs.unit == "token"


def test_dense_flops_per_token_are_those_of_the_architecture(context: Context) -> None:
    outcome = SyntheticText().run([Dense()], tiny.load, context)
    width, hidden, layers, vocabulary, kv = 32, 64, 2, 257, 16
    matrices = layers * (2 * width * width + 2 * width * kv + 3 * width * hidden) + vocabulary * width
    attention = layers * 2 * COST_WINDOW * width
    assert outcome.costs is not None
    assert outcome.costs.flops is not None
    assert outcome.costs.flops == 2 * (matrices + attention)


def test_active_parameters_fall_with_the_active_share(context: Context) -> None:
    def active(method: Method) -> int:
        costs = SyntheticText().run([method], tiny.load, context).costs
        assert costs is not None
        assert costs.params_active is not None
        return costs.params_active

    dense, ffn, router = active(Dense()), 2 * 3 * 32 * 64, 2 * 8 * 32
    assert active(RandomSplit(top_k=4)) == dense - ffn // 2 + router
    assert active(SharedSplit(num_shared=3, top_k=3)) == dense - ffn // 4 + 2 * 5 * 32


def test_all_experts_active_is_the_dense_model(context: Context) -> None:
    dense = SyntheticText().run([Dense()], tiny.load, context).examples["bits"]
    for method in (RandomSplit(top_k=8), SharedSplit(top_k=5)):
        assert SyntheticText().run([method], tiny.load, context).examples["bits"] == pytest.approx(dense, rel=1e-5)


def test_a_run_repeats_exactly_and_another_seed_is_another_split(context: Context) -> None:
    def neurons(seed: int) -> torch.Tensor:
        setup = SyntheticText().setup(tiny.load, dataclasses.replace(context, seed=seed))
        model: Any = RandomSplit().prepare(setup.model, setup.context)
        return model.model.layers[0].mlp.neurons

    assert torch.equal(neurons(0), neurons(0))
    assert not torch.equal(neurons(0), neurons(1))


def test_a_shared_block_keeps_what_matters_most(context: Context) -> None:
    """Neurons whose output is switched off must not be in the shared block."""
    setup = SyntheticText().setup(tiny.load, context)
    model: Any = setup.model
    with torch.no_grad():
        model.model.layers[0].mlp.down_proj.weight[:, :40] = 0
    SharedSplit().prepare(model, setup.context)
    shared = model.model.layers[0].mlp.neurons[: 64 * 3 // 8]
    assert shared.min() >= 40


def test_methods_say_where_they_cannot_run() -> None:
    assert "linear_probe" in str(reason(PredictionTask, "vtab", "tiny", Dense()))
    assert "convolutional" in str(reason(PredictionTask, "vtab", "efficientnet_lite0:64", RandomSplit()))
    assert reason(PredictionTask, "vtab", "tiny", RandomSplit()) is None
    assert all(reason(SyntheticText, "llm", "tiny", method) is None for method in METHODS)


def test_a_loaded_model_without_feed_forward_layers_is_not_applicable(context: Context) -> None:
    for name in ("tf_efficientnet_lite0", "resnet18"):  # one that the anatomy knows, one that it does not
        with pytest.raises(NotApplicable):
            RandomSplit().prepare(timm.create_model(name), context)


@pytest.mark.parametrize("config", [{"top_k": 9}, {"num_experts": 0}, {"score": "best"}])
def test_an_impossible_config_is_refused(config: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=next(iter(config))):
        RandomSplit(**config)


def test_moe_shared_needs_a_shared_block() -> None:
    with pytest.raises(ValueError, match="moe_random"):
        SharedSplit(num_shared=0, top_k=4)


def test_a_body_is_no_language_model(context: Context) -> None:
    with pytest.raises(NotApplicable, match="it predicts no next token"):
        SyntheticText().setup(lambda generator: torch.nn.Linear(1, 1), context)
