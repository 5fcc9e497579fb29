"""The files of MT-Bench and AlpacaEval: questions in, answers out, and why there is no verdict.

MT-Bench (Zheng et al., arXiv 2306.05685) has lines of JSON with `question_id` and `turns`; its answers are lines with
`choices`. AlpacaEval (Li et al., 2023) has a list of objects with `instruction`; its answers add `output` and
`generator`. Neither set of questions comes with this project: both are read from the user's file.
"""

import json
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Literal

Format = Literal["mt_bench", "alpaca_eval"]
Converse = Callable[[Sequence[str]], list[str]]
"""The answers to the turns of a conversation."""
VERDICT = {
    "verdict": "n/a",
    "reason": "MT-Bench and AlpacaEval let a language model of a vendor judge the answers, and none can be reached "
    "here; give the file with the answers to their own programs, with a judge",
}
"""What stands beside the answers in the place of a score."""


def write_answers(form: Format, questions: Path, answers: Path, model: str, converse: Converse) -> int:
    """Let a model answer a file of questions; writes the answers, and beside them the verdict. Returns their number.

    Raises ValueError for a file that is not of the format, with the number of the entry.
    """
    asked = _mt_bench(questions) if form == "mt_bench" else _alpaca_eval(questions)
    found = []
    for number, (entry, turns) in enumerate(asked, start=1):
        said = converse(turns)
        found.append(_mt_bench_answer(entry, said, model) if form == "mt_bench" else _alpaca_answer(entry, said, model))
        if len(said) != len(turns):
            raise ValueError(f"question {number} has {len(turns)} turns, and {len(said)} answers came")
    text = json.dumps(found, ensure_ascii=False, indent=2) + "\n"
    if form == "mt_bench":
        text = "".join(json.dumps(one, ensure_ascii=False) + "\n" for one in found)
    answers.parent.mkdir(parents=True, exist_ok=True)
    answers.write_text(text, encoding="utf-8")
    verdict = answers.with_suffix(".verdict.json")
    verdict.write_text(json.dumps({"benchmark": form, "model": model, **VERDICT}, indent=2) + "\n", encoding="utf-8")
    return len(found)


def _mt_bench(file: Path) -> list[tuple[dict[str, Any], list[str]]]:
    """Entries and turns, line by line."""
    found = []
    for number, line in enumerate(file.read_text(encoding="utf-8").splitlines(), start=1):
        if line.strip():
            entry = _parsed(line, f"{file}, line {number}")
            turns = entry.get("turns") if isinstance(entry, dict) else None
            if not _texts(turns) or "question_id" not in entry:
                raise ValueError(f'{file}, line {number}: MT-Bench has "question_id" and "turns", a list of texts')
            found.append((entry, turns))
    return _some(found, file)


def _alpaca_eval(file: Path) -> list[tuple[dict[str, Any], list[str]]]:
    """Entries and their one turn."""
    entries = _parsed(file.read_text(encoding="utf-8"), str(file))
    if not isinstance(entries, list):
        raise ValueError(f"{file}: AlpacaEval has one list of questions")
    found = []
    for number, entry in enumerate(entries, start=1):
        turns = [entry.get("instruction")] if isinstance(entry, dict) else None
        if not _texts(turns):
            raise ValueError(f'{file}, entry {number}: AlpacaEval has "instruction", a text')
        found.append((entry, turns))
    return _some(found, file)


def _mt_bench_answer(entry: dict[str, Any], said: Sequence[str], model: str) -> dict[str, Any]:
    return {
        "question_id": entry["question_id"],
        "answer_id": f"{model}-{entry['question_id']}",
        "model_id": model,
        "choices": [{"index": 0, "turns": list(said)}],
        "tstamp": time.time(),
    }


def _alpaca_answer(entry: dict[str, Any], said: Sequence[str], model: str) -> dict[str, Any]:
    return {**entry, "output": said[0], "generator": model}


def _parsed(text: str, where: str) -> Any:
    try:
        return json.loads(text)
    except json.JSONDecodeError as error:
        raise ValueError(f"{where} is no JSON: {error}") from error


def _texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(text, str) and text.strip() for text in value)


def _some(found: list[Any], file: Path) -> list[Any]:
    if not found:
        raise ValueError(f"{file} has no question")
    return found
