"""What a training task refuses before it trains, and how it sums groups up."""

import dataclasses
from typing import Any

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.reports.records.record import Metric
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.llm.language.task import CausalLM
from sparsebench.suites.llm.tasks.synthetic.synthetic_domains import SyntheticDomains
from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import SyntheticInstructions
from sparsebench.suites.llm.training.task import check_finite, check_vocabulary, over_groups, reads

from .conftest import SIZES


def test_a_tokenizer_of_another_vocabulary_is_refused(lm: CausalLM, context: Context) -> None:
    check_vocabulary(lm)
    for tokens in (61, 1000):
        model = LlamaForCausalLM(LlamaConfig(**{**SIZES, "vocab_size": tokens}))

        def load(generator: torch.Generator, model: Any = model) -> CausalLM:
            return CausalLM(model, lm.tokenizer)

        with pytest.raises(ValueError, match=f"tokenizer has 257 tokens and the model's embedding {tokens} rows"):
            SyntheticDomains().setup(load, context)


def test_rows_are_no_longer_than_what_the_model_reads(lm: CausalLM, context: Context) -> None:
    assert SyntheticDomains().setup(lambda _: lm, context).data.length == 64
    lm.model.config.max_position_embeddings = 32  # type: ignore[union-attr]
    assert reads(lm) == 32
    data = SyntheticDomains().setup(lambda _: lm, context).data
    assert data.length == 32 and {len(row) for row in data.train} == {32}


def test_a_model_that_cannot_keep_examples_apart_is_not_applicable(context: Context) -> None:
    def load(generator: torch.Generator) -> CausalLM:
        lm = tiny.load(generator)
        lm.model.config._attn_implementation = "flex_attention"  # type: ignore[union-attr]
        return lm

    with pytest.raises(NotApplicable, match="takes no mask between examples"):
        SyntheticInstructions().setup(load, context)


def test_the_context_of_a_packed_task(context: Context) -> None:
    setup = SyntheticInstructions().setup(tiny.load, dataclasses.replace(context, task="synthetic_instructions"))
    batch = setup.data.collate(setup.data.train[:2])
    assert set(setup.context.inputs(batch)) == {"input_ids", "use_cache", "attention_mask", "position_ids"}
    assert setup.context.tokens is not None
    assert setup.context.tokens(batch) == sum(len(row) for row in setup.data.train[:2])
    calibration = setup.context.batches()
    assert set(setup.context.inputs(calibration[0])) == {"input_ids", "use_cache"}
    assert setup.context.loss(setup.model, calibration[0]).isfinite()
    assert setup.context.trains


def test_groups_weigh_the_same() -> None:
    def metric(value: float, stderr: float | None) -> Metric:
        return Metric(value=value, stderr=stderr, n=4, higher_is_better=False, unit="nats/token")

    found = over_groups("loss", {"a": metric(1.0, 0.3), "b": metric(3.0, 0.4)}, "worst group")
    assert list(found) == ["loss", "loss a", "loss b", "worst group"]
    assert (found["loss"].value, found["loss"].n) == (2.0, 8)
    assert found["loss"].stderr == pytest.approx(0.25)
    assert found["worst group"] == metric(3.0, 0.4)
    unknown = over_groups("loss", {"a": metric(1.0, None), "b": metric(3.0, 0.4)}, "")
    assert unknown["loss"].stderr is None and len(unknown) == 3


def test_groups_that_are_not_finite_are_named() -> None:
    check_finite("bits", {"a": [1.0]})
    with pytest.raises(FloatingPointError, match="bits of 'b', 'c' is NaN or infinite"):
        check_finite("bits", {"a": [1.0], "b": [1.0, float("nan")], "c": [float("inf")]})
