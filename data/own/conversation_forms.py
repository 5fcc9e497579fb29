"""One line of a JSONL file as the turns of a conversation, in the forms that people keep them in.

| form | fields |
| --- | --- |
| messages | `{"messages": [{"role": "user", "content": "..."}, ...]}` |
| ShareGPT | `{"conversations": [{"from": "human", "value": "..."}, ...]}` |
| prompt and completion | `{"prompt": "...", "completion": "..."}`; either may be a list of messages |
| Alpaca | `{"instruction": "...", "input": "...", "output": "..."}`; `input` follows after a blank line |

Of a line with several of them the first in this table counts. A field `system` beside any of them is a system turn, and
so is one among the turns; an empty one says nothing and is left out. Without completion or output, the last turn is the
user's. Other fields are not read.
"""

import json
from collections.abc import Mapping, Sequence
from typing import Any, Literal

Role = Literal["system", "user", "assistant"]
Turns = tuple[tuple[Role, str], ...]
"""Role and content of each turn."""
NAMES: dict[str, Role] = {
    **dict.fromkeys(("system", "developer"), "system"),
    **dict.fromkeys(("user", "human"), "user"),
    **dict.fromkeys(("assistant", "gpt", "model", "bot", "chatgpt"), "assistant"),
}
EXPECTED = (
    'a conversation is {"messages": [...]}, {"conversations": [...]}, {"prompt": ..., "completion": ...} or '
    '{"instruction": ..., "output": ...}'
)
MOST_SHOWN = 40
"""Characters of a name that a reason repeats."""


def read_line(line: bytes) -> tuple[Turns, Mapping[str, Any]]:
    """The turns of a line, and all of its fields.

    Args:
        line: UTF-8.

    Returns:
        One turn at least, and the fields.

    Raises:
        ValueError: why it is no conversation, in one line.

    Example:
        >>> read_line(b'{"prompt": "2 + 2?", "completion": "4"}')[0]
        (('user', '2 + 2?'), ('assistant', '4'))
    """
    fields = _fields(line)
    turns = [*_one(fields.get("system"), "system", "system"), *_turns(fields)]
    if not turns:
        raise ValueError("it has no turn")
    return tuple(turns), fields


def _fields(line: bytes) -> Mapping[str, Any]:
    try:
        text = line.decode("utf-8")
    except UnicodeDecodeError:
        raise ValueError("it is not UTF-8") from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise ValueError(f"it is no JSON: {error}") from None
    except RecursionError:
        raise ValueError("it is no JSON that can be read: it is nested too deeply") from None
    if not isinstance(found, dict):
        raise ValueError(f"it is a JSON {_kind(found)}, and an object is expected: {EXPECTED}")
    return found


def _turns(fields: Mapping[str, Any]) -> list[tuple[Role, str]]:
    if "messages" in fields:
        return _listed(fields["messages"], "messages", "role", "content")
    if "conversations" in fields:
        return _listed(fields["conversations"], "conversations", "from", "value")
    if "prompt" in fields:
        return [*_side(fields, "prompt", "user"), *_side(fields, "completion", "assistant")]
    if "instruction" in fields:
        asked = [*_one(fields["instruction"], "instruction", "user"), *_one(fields.get("input"), "input", "user")]
        answer = _one(fields.get("output"), "output", "assistant")
        if not asked:
            raise ValueError("its 'instruction' is empty")
        return [("user", "\n\n".join(text for _, text in asked)), *answer]
    names = ", ".join(repr(_short(name)) for name in list(fields)[:5])
    raise ValueError(f"it has the fields {names or 'none'}; {EXPECTED}")


def _side(fields: Mapping[str, Any], name: str, role: Role) -> list[tuple[Role, str]]:
    """A prompt or a completion: a text, or a list of messages."""
    if isinstance(fields.get(name), list):
        return _listed(fields[name], name, "role", "content")
    found = _one(fields.get(name), name, role)
    if not found and role == "user":
        raise ValueError(f"its {name!r} is empty")
    return found


def _one(value: object, name: str, role: Role) -> list[tuple[Role, str]]:
    """The turn of a field of text; none where it is missing or empty."""
    if value is None:
        return []
    content = _text(value, f"its {name!r}")
    return [(role, content)] if content.strip() else []


def _listed(value: object, name: str, role_name: str, content_name: str) -> list[tuple[Role, str]]:
    if not isinstance(value, Sequence) or isinstance(value, str):
        raise ValueError(f"its {name!r} is a JSON {_kind(value)}, and a list of turns is expected")
    found = []
    for number, turn in enumerate(value, start=1):
        where = f"turn {number} of its {name!r}"
        if not isinstance(turn, dict) or not {role_name, content_name} <= turn.keys():
            raise ValueError(f"{where} is no object with {role_name!r} and {content_name!r}")
        role = NAMES.get(turn[role_name]) if isinstance(turn[role_name], str) else None
        if role is None:
            raise ValueError(f"{where} is of the role {_short(turn[role_name])!r}; known: {', '.join(NAMES)}")
        content = _text(turn[content_name], where)
        if content.strip():
            found.append((role, content))
        elif role != "system":
            raise ValueError(f"{where} ({role}) is empty")
    return found


def _text(value: object, where: str) -> str:
    """A text that can be written as UTF-8."""
    if not isinstance(value, str):
        raise ValueError(f"{where} is a JSON {_kind(value)}, and a text is expected")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} has half of a surrogate pair, which is no text") from None
    return value


def _kind(value: object) -> str:
    if value is None:
        return "null"
    names = {bool: "truth value", int: "number", float: "number", str: "text", list: "list", dict: "object"}
    return names[type(value)]


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= MOST_SHOWN else f"{text[:MOST_SHOWN]}..."
