import math
from collections.abc import Callable

import numpy as np
import pytest
import torch

from sparsebench.reports.statistics import example_scores
from sparsebench.reports.statistics.sampling import examples_error
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm._markov import markov_documents
from sparsebench.suites.llm.bits_per_byte.task import WINDOW, check_bytes, ratio, window_bits
from sparsebench.suites.llm.language.task import CausalLM, cut
from sparsebench.suites.llm.tasks.synthetic.synthetic import SyntheticText


def slow_bits(model: torch.nn.Module, ids: list[int]) -> float:
    """Token by token in float64, each with a forward pass of its own over what comes before it."""
    bits = 0.0
    for place in range(1, len(ids)):
        logits = model(input_ids=torch.tensor([ids[:place]])).logits[0, -1]
        bits -= torch.log_softmax(logits.double(), -1)[ids[place]].item() / math.log(2)
    return bits


@torch.inference_mode()
def test_bits_agree_with_a_token_by_token_reference(lm: CausalLM) -> None:
    rows = cut(lm.tokenizer, markov_documents("test"), 48, 3)
    fast = window_bits(lm.model, torch.tensor(rows), batch_size=2)
    reference = lm.model.double()
    assert fast == pytest.approx([slow_bits(reference, row) for row in rows], rel=1e-6)


def test_bits_do_not_depend_on_the_batch_size(lm: CausalLM) -> None:
    rows = torch.tensor(cut(lm.tokenizer, markov_documents("test"), 64, 5))
    assert window_bits(lm.model, rows, 1) == pytest.approx(window_bits(lm.model, rows, 4), rel=1e-6)


def test_each_byte_counts_once_where_a_window_cuts_through_a_character(
    lm: CausalLM, with_budget: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "日本語" * 400  # three bytes per character, and 512 is no multiple of three
    monkeypatch.setattr(SyntheticText, "documents", lambda self, domain, part: (text,))
    scored = SyntheticText().evaluate(lm, with_budget(test_examples=3))
    assert scored.examples["bytes"] == [WINDOW - 1] * 3  # one byte per token, the first token is context only


def test_value_is_total_bits_over_total_bytes(lm: CausalLM, context: Context) -> None:
    scored = SyntheticText().evaluate(lm, context)
    metric, bits, sizes = scored.metrics["bits_per_byte"], scored.examples["bits"], scored.examples["bytes"]
    assert metric.value == pytest.approx(sum(bits) / sum(sizes))
    assert (metric.n, metric.unit, metric.higher_is_better) == (2, "bits/byte", False)
    assert metric.value == pytest.approx(math.log2(257), rel=0.05)  # random weights: almost a uniform guess


def test_ratio_estimator_has_the_error_that_repeated_sampling_shows() -> None:
    rng = np.random.default_rng(0)
    sizes = rng.uniform(500, 3000, size=(4000, 20))
    bits = sizes * rng.normal(1.0, 0.1, size=sizes.shape)
    estimates = [ratio(b, s) for b, s in zip(bits, sizes, strict=True)]
    spread = np.std([value for value, _ in estimates])
    assert np.mean([stderr for _, stderr in estimates]) == pytest.approx(spread, rel=0.05)
    assert ratio([3.0], [2.0]) == (1.5, None)


def test_ratio_of_terms_that_were_drawn_together_has_the_error_of_what_was_drawn() -> None:
    """D8: five windows of each of twelve documents, whose bits are of one level."""
    rng = np.random.default_rng(1)
    sizes = rng.uniform(500, 3000, size=(2000, 60))
    bits = sizes * (1 + 0.1 * rng.normal(size=(2000, 12)).repeat(5, axis=1) + 0.03 * rng.normal(size=(2000, 60)))
    documents = [number for number in range(12) for _ in range(5)]
    estimates = [ratio(b, s, documents) for b, s in zip(bits, sizes, strict=True)]
    spread = np.std([value for value, _ in estimates])
    # A standard deviation of twelve is 1 / 44 too low in the mean, that of 2,000 draws is known to 1.6 %.
    assert np.mean([stderr for _, stderr in estimates]) == pytest.approx(spread, rel=0.08)
    alone = np.mean([ratio(b, s)[1] for b, s in zip(bits, sizes, strict=True)])
    assert alone < 0.6 * spread
    assert ratio([3.0, 4.0], [2.0, 2.0], ["a", "a"]) == (1.75, None)


def test_windows_keep_the_document_that_they_are_of(
    lm: CausalLM, with_budget: Callable[..., Context], monkeypatch: pytest.MonkeyPatch
) -> None:
    """D8: the examples file did not say which windows were cut from one document."""
    texts = ("a" * (2 * WINDOW + 100), "b" * (3 * WINDOW))
    monkeypatch.setattr(SyntheticText, "documents", lambda self, domain, part: texts)
    scored = SyntheticText().evaluate(lm, with_budget(test_examples=4))
    assert scored.examples["cluster"] == [0, 0, 1, 1]
    metric = scored.metrics["bits_per_byte"]
    kept = example_scores("bits_per_byte", metric.value, scored.examples)
    part = examples_error([kept]).whole
    assert part.df == 1
    assert part.variance**0.5 == pytest.approx(metric.stderr, rel=1e-3)  # bytes of equal windows differ by none
    monkeypatch.setattr(SyntheticText, "origins", lambda self, domain: [7, 7])
    alone = SyntheticText().evaluate(lm, with_budget(test_examples=3))
    assert (alone.examples["cluster"], alone.metrics["bits_per_byte"].stderr) == ([7, 7, 7], None)


def test_infinite_logits_are_an_error(lm: CausalLM, context: Context) -> None:
    with torch.no_grad():
        lm.model.lm_head.weight.fill_(float("nan"))
    with pytest.raises(FloatingPointError, match="NaN"):
        SyntheticText().evaluate(lm, context)


def test_a_tokenizer_without_byte_tokens_is_refused() -> None:
    class Words:
        def __call__(self, text: str, **_: object) -> dict[str, list[int]]:
            return {"input_ids": list(range(len(text.split())))}

        def convert_ids_to_tokens(self, ids: list[int]) -> list[str]:
            return ["▁word"] * len(ids)

    with pytest.raises(ValueError, match="Words is no byte-level tokenizer"):
        check_bytes(Words())
