"""What `verify` says: of each record, of the folders that they lie in, and of all."""

import dataclasses
import json
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from .differences import Differences
from .folders import FolderCheck
from .verify import Verification


def exit_code(found: Sequence[Verification], folders: Sequence[FolderCheck]) -> int:
    """0 where every record was reproduced and every folder is as its run left it, else 1."""
    return 0 if all(one.passed for one in found) and all(one.fit.fits for one in folders) else 1


def to_text(found: Sequence[Verification], folders: Sequence[FolderCheck]) -> str:
    """One line a record, with the details of what is not equal below it, then one a folder, and a line for all."""
    lines = []
    for one in found:
        lines += [_line(one), *(f"    {detail}" for detail in _details(one))]
    for folder in folders:
        lines += folder.sentences()
    passed = sum(one.passed for one in found)
    equal = sum(one.judgement.verdict == "equal" for one in found)
    lines.append(f"{passed} of {len(found)} records reproduced, {equal} of them to the last digit.")
    return "\n".join(lines)


def _line(one: Verification) -> str:
    judgement = one.judgement
    head = f"{judgement.verdict:<7} {one.named.title}"
    if judgement.verdict in ("gone", "contradiction", "no data"):
        return f"{head}: {judgement.reason}"
    return f"{head}: {_outcome(one)}; {_sameness(one.differences)}"


def _outcome(one: Verification) -> str:
    judgement = one.judgement
    record = one.named.record
    if not judgement.scores:
        return judgement.reason or f"{record.status} again, for the same reason"
    main = judgement.scores[0]
    equal = sum(score.verdict == "equal" for score in judgement.scores)
    if equal == len(judgement.scores):
        scores = "score" if equal == 1 else "scores"
        return f"{main.name} {main.now!r}, {equal} {scores} to the last digit"
    return f"{main.name} {main.then!r} then, {main.now!r} now"


def _sameness(found: Differences) -> str:
    fields = dataclasses.asdict(found)
    same = [name for name, sentences in fields.items() if not sentences]
    other = [name for name, sentences in fields.items() if sentences]
    parts = []
    if same:
        parts.append(f"same {', '.join(same)}")
    if other:
        parts.append(f"other {', '.join(other)}")
    return "; ".join(parts)


def _details(one: Verification) -> Iterable[str]:
    for score in one.judgement.scores:
        if score.verdict == "equal":
            continue
        where = score.basis
        if score.low is not None:
            where = f"{score.verdict} [{score.low:.6g}, {score.high:.6g}] ({score.basis})"
        yield f"{score.name}: {_number(score.then)} then, {_number(score.now)} now; {where}"
    if one.judgement.scores and one.judgement.reason:
        yield one.judgement.reason
    if one.examples:
        yield one.examples
    for name, sentences in dataclasses.asdict(one.differences).items():
        for sentence in sentences:
            yield f"{name}: {sentence}"


def _number(value: float | None) -> str:
    return "none" if value is None else repr(value)


def to_json(found: Sequence[Verification], folders: Sequence[FolderCheck]) -> str:
    """The same as JSON: a list with one object a record."""
    by_folder: dict[Path | None, list[str]] = {one.folder: one.sentences() for one in folders}
    content: list[dict[str, Any]] = []
    for one in found:
        record = one.named.record
        content.append(
            {
                "id": record.id,
                "title": one.named.title,
                "status": record.status,
                "passed": one.passed,
                **dataclasses.asdict(one.judgement),
                "examples": one.examples,
                "differences": dataclasses.asdict(one.differences),
                "folder": by_folder.get(one.named.folder, []),
            }
        )
    return json.dumps(content, indent=1)
