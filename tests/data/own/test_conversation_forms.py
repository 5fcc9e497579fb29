"""Lines in the forms that people keep conversations in, and what is said of every other line."""

import json
from typing import Any

import pytest

from sparsebench.data.own.conversation_forms import read_line

ASKED = (("user", "2 + 2?"), ("assistant", "4"))


def turns(**fields: Any) -> Any:
    return read_line(json.dumps(fields).encode())[0]


def test_forms() -> None:
    said = [{"role": "user", "content": "2 + 2?"}, {"role": "assistant", "content": "4"}]
    sharegpt = [{"from": "human", "value": "2 + 2?"}, {"from": "gpt", "value": "4"}]
    assert turns(messages=said, prompt="2 + 2?", id=3) == turns(conversations=sharegpt) == ASKED
    assert turns(prompt="2 + 2?", completion="4") == turns(prompt=said[:1], completion=said[1:]) == ASKED
    assert turns(instruction="2 + 2?", input="", output="4") == turns(instruction="2 + 2?", output="4") == ASKED
    assert turns(instruction="Add.", input="2, 2", output="4") == (("user", "Add.\n\n2, 2"), ASKED[1])
    assert turns(prompt="2 + 2?") == turns(instruction="2 + 2?", output="") == ASKED[:1]
    system = {"role": "developer", "content": "Be brief."}
    assert (
        turns(messages=[system, *said]) == turns(system="Be brief.", messages=said) == (("system", "Be brief."), *ASKED)
    )
    assert turns(system=" ", messages=[{"role": "system", "content": ""}, *said]) == ASKED


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        (b"\xff\xfe", "it is not UTF-8"),
        (b"{", "it is no JSON: Expecting property name"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[1, 2]", "it is a JSON list, and an object is expected"),
        (b"null", "it is a JSON null"),
        (b'{"text": "hello"}', "it has the fields 'text'; a conversation is"),
        (b"{}", "it has the fields none"),
        (b'{"messages": []}', "it has no turn"),
        (b'{"messages": "hello"}', "its 'messages' is a JSON text, and a list of turns is expected"),
        (b'{"messages": [{"from": "user", "value": "x"}]}', "turn 1 of its 'messages' is no object with 'role' and"),
        (b'{"messages": [3]}', "turn 1 of its 'messages' is no object"),
        (b'{"messages": [{"role": "tool", "content": "x"}]}', "is of the role 'tool'; known: system, developer, user"),
        (b'{"messages": [{"role": ["user"], "content": "x"}]}', "is of the role"),
        (b'{"messages": [{"role": "user", "content": null}]}', "turn 1 of its 'messages' is a JSON null, and a text"),
        (b'{"messages": [{"role": "user", "content": " "}]}', r"turn 1 of its 'messages' \(user\) is empty"),
        (b'{"conversations": [{"from": "human", "value": "\\ud800"}]}', "half of a surrogate pair"),
        (b'{"prompt": "", "completion": "4"}', "its 'prompt' is empty"),
        (b'{"prompt": 3, "completion": "4"}', "its 'prompt' is a JSON number"),
        (b'{"instruction": "", "output": "4"}', "its 'instruction' is empty"),
        (b'{"instruction": "x", "output": true}', "its 'output' is a JSON truth value"),
    ],
)
def test_what_is_no_conversation_is_said_in_a_line(line: bytes, reason: str) -> None:
    with pytest.raises(ValueError, match=reason) as caught:
        read_line(line)
    assert "\n" not in str(caught.value)
