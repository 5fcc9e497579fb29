"""The groups on the real sources: disjoint parts, nothing that is scored, and what became of every record."""

import gzip
from pathlib import Path

import pytest

from sparsebench.data.errors import DataError, UnknownSource
from sparsebench.data.manifest import catalogue
from sparsebench.data.text.decontamination import scored
from sparsebench.data.text.decontamination.overlap import words
from sparsebench.data.text.instructions import GROUPS, Exchange, census, exchanges, groups, sources_of
from sparsebench.data.text.instructions.selection import LONGEST, MOST


def test_unknown_group_and_part():
    with pytest.raises(UnknownSource, match="unknown instruction group 'logics'; did you mean logic"):
        exchanges("logics", "train")
    with pytest.raises(UnknownSource, match="unknown part 'vla'; did you mean val"):
        exchanges("logic", "vla")


def test_sources_are_known():
    for group in GROUPS:
        assert set(sources_of(group)) <= set(catalogue())
    assert "evals" in sources_of("logic") and "evals" not in sources_of("code")


def test_files_keep_exchanges_by_part(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    selected = [Exchange("logic", "a", (("system", "s"), ("user", f"é {n}\n")), "yes") for n in range(50)]
    groups._write(tmp_path, "logic", selected, {"a": {"kept": 50}})
    monkeypatch.setattr(groups, "_folder", lambda group: tmp_path)
    read = []
    for part in ("train", "val", "test"):
        read += exchanges.__wrapped__("logic", part)  # type: ignore[attr-defined]
    assert sorted(read, key=selected.index) == selected
    assert census("logic") == {"a": {"kept": 50}}
    (tmp_path / "logic.val.jsonl.gz").write_bytes(gzip.compress(b""))
    with pytest.raises(DataError, match="the part 'val' of the instruction group 'logic' is empty"):
        exchanges.__wrapped__("logic", "val")  # type: ignore[attr-defined]


KEPT = {
    "logic": (25838, 3189, 3319),
    "mathematics": (9607, 1230, 1208),
    "exams": (18487, 2359, 2214),
    "language": (21596, 2592, 2557),
    "classification": (13939, 1771, 1725),
    "symbols": (9602, 1199, 1247),
    "code": (1755, 209, 230),
}
"""Exchanges for training, validation and test, measured on the pinned packages."""

real = [pytest.mark.data, pytest.mark.timeout(1200)]  # the first time on a machine, all sets are compared


@pytest.mark.parametrize("group", [pytest.param(group, marks=real) for group in GROUPS])
def test_real_group(group: str):
    parts = {part: exchanges(group, part) for part in ("train", "val", "test")}
    sizes = tuple(len(part) for part in parts.values())
    assert sizes == KEPT[group]
    prompts = [{one.digest for one in part} for part in parts.values()]
    assert sum(map(len, prompts)) == len(set().union(*prompts)) == sum(sizes)
    assert all(len(one.prompt) + len(one.answer) <= LONGEST for part in parts.values() for one in part)
    assert all(one.group == group and one.answer and one.messages for part in parts.values() for one in part)
    counts = census(group)
    assert sum(count.get("kept", 0) for count in counts.values()) == sum(sizes)
    assert max(count.get("kept", 0) for count in counts.values()) <= MOST


@pytest.mark.data
@pytest.mark.timeout(1200)
def test_sets_that_evaluate_elsewhere_are_found_out():
    """MMLU's law in a set of tort law, SQuAD in a set of unanswerable questions."""
    assert census("exams")["us_tort_law"]["in an evaluation set"] == 37
    assert census("logic")["unsolvable_questions"]["in an evaluation set"] == 2


@pytest.mark.data
@pytest.mark.timeout(1200)
def test_no_run_of_words_is_in_a_question():
    """By sets of words, with no hash of ours, over a sample of each group."""
    asked: set[tuple[str, ...]] = set()
    for name in ("arc_challenge", "boolq", "commonsense_qa", "piqa", "sciq", "social_iqa"):
        for text in scored._validation(name, scored.VALIDATION_SETS[name]):
            asked |= runs(text)
    for pattern in ("gsm8k/gold_bpb_5shot", "codex_mbpp/gold_bpb_0shot", "minerva_math_*/gold_bpb_0shot"):
        for text in scored._requests(pattern):
            asked |= runs(text)
    assert len(asked) > 500_000
    for group in GROUPS:
        for one in exchanges(group, "train")[:500]:
            assert not runs(f"{one.prompt}\n{one.answer}") & asked, one


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + 13]) for start in range(len(found) - 12)}
