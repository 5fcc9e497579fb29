"""Text tasks through the protocol of prediction tasks; frozen blocks computed once; the packaged sets."""

import dataclasses
from typing import Any

import numpy as np
import pytest
import torch

from sparsebench.data.labelled.table import LabelledTexts, Parts, hashed_parts, normal_form
from sparsebench.reports.routers.health import from_details
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context, Target
from sparsebench.suites.llm.backbones import tiny_encoder
from sparsebench.suites.llm.encoders.task import TextTask
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText
from sparsebench.suites.llm.tasks.synthetic.synthetic_texts import SyntheticTexts
from sparsebench.suites.methods.adapters.adapter import Adapter
from sparsebench.suites.methods.adapters.lora import LoRA
from sparsebench.suites.methods.adapters.sparse_adapter import SparseAdapter
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.baselines.full_tuning import FullTuning
from sparsebench.suites.methods.baselines.linear_probe import LinearProbe
from sparsebench.suites.methods.moe.moe_random import RandomSplit
from sparsebench.suites.prediction.data import batch_rows
from sparsebench.suites.prediction.frozen_features import TailModel, cache_frozen_features
from sparsebench.suites.prediction.task import predict
from sparsebench.suites.runner.discovery import loading
from sparsebench.suites.runner.discovery.registry import find
from sparsebench.suites.training.method import TrainedMethod

from ...reasons import reason

TRAINED = [
    Adapter(rank=4, blocks=1, learning_rate=1e-2),
    SparseAdapter(base_rank=4, learning_rate=1e-2),
    LoRA(rank=4, learning_rate=1e-2),
    FullTuning(learning_rate=3e-3),
    LinearProbe(),
    RandomSplit(),
]


def surroundings(dtype: torch.dtype = torch.float32) -> Context:
    budget = Budget(epochs=10, batch_size=16, calibration_examples=32)
    return Context(suite="llm", task="synthetic_texts", seed=0, budget=budget, dtype=dtype)


@pytest.mark.parametrize("method", TRAINED, ids=lambda method: type(method).__name__)
def test_methods_learn(method: Any) -> None:
    outcome = SyntheticTexts().run([method], tiny_encoder.load, surroundings())
    accuracy, f1 = outcome.metrics["accuracy"], outcome.metrics["macro_f1"]
    assert outcome.main_metric == "accuracy" and accuracy.n == 64 and accuracy.chance == 0.25
    assert accuracy.value > 0.6 and f1.value > 0.6
    assert outcome.costs is not None and outcome.costs.unit == "token" and outcome.costs.flops


def test_a_record_of_a_mixture_keeps_the_health_of_its_routers() -> None:
    context = dataclasses.replace(surroundings(), budget=Budget(steps=3, batch_size=8, test_examples=8))
    outcome = SyntheticTexts().run([RandomSplit(num_experts=4, train="router")], tiny_encoder.load, context)
    health = from_details(outcome.details["router_health"])
    assert list(health.domains) == ["synthetic_texts"] and health.experts == (4,) * len(health.layers)
    assert len(outcome.curves["router cv2"]) == 3
    assert set(SyntheticTexts().run([LinearProbe()], tiny_encoder.load, context).details) == {"product_rate"}


def test_bfloat16_training_learns_too() -> None:
    outcome = SyntheticTexts().run([TRAINED[0]], tiny_encoder.load, surroundings(torch.bfloat16))
    assert outcome.metrics["accuracy"].value > 0.6


@pytest.mark.parametrize("blocks", [1, 2])
def test_training_from_the_frozen_blocks_is_training_the_whole(blocks: int) -> None:
    method = Adapter(rank=4, blocks=blocks, learning_rate=1e-2)
    losses, weights = [], []
    for shortened in (False, True):
        ready = SyntheticTexts().setup(tiny_encoder.load, surroundings())
        model = method.prepare(ready.model, ready.context)
        rest, data = cache_frozen_features(model, ready.data, ready.context) if shortened else (model, ready.data)
        assert isinstance(rest, TailModel) == shortened
        losses.append([loss for _, loss in TrainedMethod.fit(method, rest, data, ready.context)["train loss"]])
        weights.append([parameter.detach() for parameter in model.parameters()])
    assert len(losses[0]) == 60 and losses[1] == pytest.approx(losses[0], rel=1e-3)
    assert all(torch.allclose(a, b, atol=1e-3) for a, b in zip(*weights, strict=True))


def test_frozen_results_have_the_length_of_their_text() -> None:
    ready = SyntheticTexts().setup(tiny_encoder.load, surroundings())
    model = Adapter(rank=4, blocks=1).prepare(ready.model, ready.context)
    _, data = cache_frozen_features(model, ready.data, ready.context)
    tokens = [len(item) for item, _ in ready.data.train]
    assert [len(item) for item, _ in data.train] == tokens and len(set(tokens)) > 10


class Lengths(TextTask):
    """How long is a text? A score."""

    version = "1"
    target = Target("regression", 1)

    def parts(self) -> Parts:
        texts = tuple("ab" * count + "!" for count in range(1, 61))
        return hashed_parts(LabelledTexts(texts=texts, targets=np.arange(60.0)[:, None]), val=10, test=20)


def test_a_score_is_judged_by_its_correlation() -> None:
    outcome = Lengths().run([FullTuning(learning_rate=3e-3)], tiny_encoder.load, surroundings())
    assert outcome.main_metric == "pearson"
    assert outcome.metrics["pearson"].value > 0.5 and outcome.metrics["spearman"].value > 0.5
    assert outcome.metrics["rmse"].higher_is_better is False
    assert len(outcome.examples["prediction"]) == 20


def test_outputs_must_fit_the_classes() -> None:
    wrong = type("Wrong", (SyntheticTexts,), {"target": Target("classification", 3)})
    with pytest.raises(ValueError, match="4 outputs, its target says 3"):
        wrong().load()


def test_encoders_and_causal_models_have_tasks_of_their_own() -> None:
    encoder, decoder = "minilm_l6", "smollm2_135m_instruct"
    assert reason(SyntheticTexts, "llm", encoder) is None
    features = "the backbone is a causal LM: it gives no feature vectors; take an encoder"
    assert reason(SyntheticTexts, "llm", decoder) == features
    assert reason(SyntheticText, "llm", decoder) is None
    assert reason(SyntheticText, "llm", encoder) == "the backbone is an encoder: it predicts no next token"
    assert reason(SyntheticTexts, "llm", encoder, Dense()) is not None


SIZES = {
    "trec6": (3880, 500, 1000),
    "sms_spam": (3011, 500, 1000),
    "movie_snippets": (3000, 500, 2000),
    "movie_snippets_score": (3000, 500, 2000),
    "newsgroups20": (2000, 500, 7528),
    "reuters_r8": (2000, 500, 2189),
    "sst2_tuned": (422, 100, 350),
    "mrpc_tuned": (208, 50, 150),
    "rte_tuned": (127, 30, 120),
}


def load_task(name: str) -> TextTask:
    task = loading.load_task(find("task", name, "llm"))
    assert isinstance(task, TextTask)
    return task


@pytest.mark.data
@pytest.mark.parametrize("name", SIZES)
def test_parts_have_the_stated_sizes_and_share_no_text(name: str) -> None:
    task = load_task(name)
    splits = task.load()
    parts = (splits.train, splits.val, splits.test)
    assert tuple(len(part.inputs) for part in parts) == SIZES[name]
    train, val, test = ({normal_form(text) for text in part.inputs} for part in parts)
    assert not train & val and not train & test and not val & test
    if task.target.kind == "classification":
        assert set(splits.train.targets.tolist()) == set(range(task.target.outputs))
        first = np.bincount(splits.test.targets[:300], minlength=task.target.outputs) / min(300, len(test))
        whole = np.bincount(splits.test.targets, minlength=task.target.outputs) / len(splits.test.targets)
        assert np.abs(first - whole).max() < 0.12  # the first rows are a sample of all classes


@pytest.mark.data
def test_a_probe_of_the_published_encoder_is_far_above_chance() -> None:
    from sparsebench.suites.llm.backbones import minilm_l6

    context = dataclasses.replace(surroundings(), task="sst2_tuned")
    outcome = load_task("sst2_tuned").run([LinearProbe()], minilm_l6.load, context)
    assert outcome.metrics["accuracy"].value > 0.7


def test_evaluation_by_length_keeps_the_order() -> None:
    ready = SyntheticTexts().setup(tiny_encoder.load, surroundings())
    by_length = predict(ready.model, ready.data.test, ready.data, 16)
    with torch.no_grad():
        one_by_one = torch.cat([ready.model(ready.data.collate([pair])[0]) for pair in ready.data.test])
    assert torch.allclose(by_length, one_by_one, atol=1e-5)
    rows = [row for chunk in batch_rows(ready.data.test, ready.data.body, 16) for row in chunk]
    lengths = [len(ready.data.test[row][0]) for row in rows]
    assert lengths == sorted(lengths)
