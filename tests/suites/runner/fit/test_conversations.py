"""From a file of conversations to a folder that scores and answers new ones; nothing is dropped."""

import io
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from rich.console import Console

from sparsebench.data.own.conversations import OwnConversation
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.runner.errors import UsageError
from sparsebench.suites.runner.fit import conversations, sources
from sparsebench.suites.runner.fit.conversations import greedy, open_answering
from sparsebench.suites.runner.fit.fitting import fit
from sparsebench.suites.runner.fit.predicting import predict

PROFILE = {
    "llm": {
        "budget": {"epochs": 2, "batch_size": 2, "calibration_examples": 2},
        "backbones": ["tiny"],
        "methods": [
            {"name": "dense", "role": "control", "label": "constant (not trained)"},
            {"name": "instruction_tuning", "config": {"learning_rate": 0.01}, "label": "full tuning"},
        ],
        "tasks": ["own_conversations"],
    }
}
NEW = [
    {"prompt": "Say 3?", "completion": "yes 3"},
    {"prompt": [{"role": "user", "content": "Say 3?"}], "completion": ""},
    {"messages": [{"role": role, "content": "x"} for role in ("user", "assistant", "user")]},
    {"messages": [{"role": "system", "content": "x"}]},
    {"text": "x"},
]


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of a fit on twelve conversations, one of which stands twice."""
    root = tmp_path_factory.mktemp("chats")
    lines = [json.dumps({"instruction": f"Say {number}?", "output": f"yes {number}"}) for number in range(12)]
    (root / "mine.jsonl").write_text("\n".join([*lines, lines[0]]))
    (root / "few.yaml").write_text(yaml.safe_dump(PROFILE))
    task = replace(sources.TASKS["conversations"], profile=str(root / "few.yaml"))
    console = Console(record=True, width=200, file=io.StringIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(sources.TASKS, "conversations", task)
        found = fit(root / "mine.jsonl", root / "out", seeds=1, workers=1, console=console)
    assert found.recommendation.chosen.name == "full tuning · tiny"
    text = console.export_text()
    assert "conversations, their answers, 8 train, 2 val, 2 test" in text
    assert "1 rows are in no part: line 13: the same conversation as line 1" in text
    assert "more conversations would decide" in text and "against constant (not trained) · tiny" in text
    assert {"data", "fit.json", "model.safetensors", "recommendation.txt"} <= {
        one.name for one in found.folder.iterdir()
    }
    return found.folder


def test_every_line_has_a_row(answering: Path, tmp_path: Path) -> None:
    (tmp_path / "new.jsonl").write_text("\n\n".join(map(json.dumps, NEW)))
    frame = predict(answering, tmp_path / "new.jsonl")
    assert list(frame["line"]) == [1, 3, 5, 7, 9]
    assert list(frame["status"]) == ["ok", "ok", "ok", "refused", "unreadable"]
    assert list(frame["asked"]) == ["Say 3?", "Say 3?", "x", "", ""] and list(frame["answers"]) == [1, 0, 1, 0, 0]
    assert frame["bits_per_byte"].notna().tolist() == [True, False, True, False, False]
    assert frame["ended"].notna().tolist() == [False, True, True, False, False]
    model = open_answering(answering)
    (bits,) = model.bits([OwnConversation(1, (("user", "Say 3?"), ("assistant", "yes 3")))])
    assert frame["bits_per_byte"].tolist()[0] == bits / 5
    with pytest.raises(UsageError, match=r"new\.csv: give a file of conversations"):
        predict(answering, tmp_path / "new.csv")


def test_a_long_conversation_is_answered_after_its_end(answering: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    model = open_answering(answering)
    kept: list[int] = []

    def noted(lm: Any, ids: list[int], most: int, marks: Any) -> tuple[list[int], bool]:
        kept.extend((len(ids), most))
        return [], True

    monkeypatch.setattr(conversations, "greedy", noted)
    assert model.answer(OwnConversation(1, (("user", "x" * 1000),))) == ("", True, 122)
    assert kept == [1024 - 128, 128]


@torch.no_grad()
def test_greedy_is_the_likeliest_token_each_time_up_to_a_mark() -> None:
    model: Any = tiny.load(torch.Generator().manual_seed(0)).model
    written: list[int] = []
    for _ in range(8):
        logits = model(input_ids=torch.tensor([[7, 3, *written]])).logits
        written.append(int(logits[0, -1].argmax()))
    assert greedy(model, [7, 3], 8, [[*written, 0]]) == (written, False)
    mark = written[4:6]
    first = next(place for place in range(8) if written[place : place + 2] == mark)
    assert greedy(model, [7, 3], 8, [[256, 256], mark]) == (written[:first], True)
