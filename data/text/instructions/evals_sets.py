"""Exchanges from the sets of the package evals: chat prompts with the answer that was expected.

A record is `{"input": [{"role", "content", "name"?}, ...], "ideal": answer or answers}`. Of several answers, the first
is taken: they are spellings of the same one. Examples in the prompt are system messages named "example_user" and
"example_assistant", and become messages of the user and the assistant.
"""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from ...errors import DataError
from ...sources import path
from .exchange import Exchange
from .table import table

SOURCE = "evals"
ROLES = ("system", "user", "assistant")


def read_set(group: str, name: str) -> Iterator[Exchange | str]:
    """The exchanges of one set, and in the place of each record that is none, why it is refused.

    Raises `DataError` for a line that is no JSON object, and what `path` raises.
    """
    root = path(SOURCE, "sets", below=name)
    for file in sorted(root.rglob("*.jsonl")):
        if table().uses(f"{name}/{file.relative_to(root).as_posix()}"):
            for row in _rows(file):
                yield exchange_of(row, group, name)


def exchange_of(row: Mapping[str, Any], group: str, name: str) -> Exchange | str:
    """A record as an exchange, or the reason why it is none."""
    if "input" not in row or "ideal" not in row:
        return "no prompt with an answer"
    answer = row["ideal"]
    if isinstance(answer, list):
        answer = answer[0] if answer else ""
    if not isinstance(answer, str) or not answer.strip():
        return "no text as answer"
    if not isinstance(row["input"], list) or not row["input"]:
        return "no messages"
    messages = []
    for message in row["input"]:
        role = message.get("name", message["role"]).removeprefix("example_")
        if role not in ROLES or not isinstance(message["content"], str):
            return "a message that is no text of a known role"
        messages.append((role, message["content"]))
    return Exchange(group, name, tuple(messages), answer.strip())


def _rows(file: Path) -> Iterator[Mapping[str, Any]]:
    with file.open(encoding="utf-8") as lines:
        for number, line in enumerate(lines, 1):
            if not line.strip():
                continue
            try:
                row = json.loads(line)
            except ValueError as error:
                raise DataError(f"{file}, line {number}: no JSON: {error}; use the pinned package") from error
            if not isinstance(row, dict):
                raise DataError(f"{file}, line {number}: a JSON {type(row).__name__}; use the pinned package")
            yield row
