"""The table that people read, and the document that programs do."""

import dataclasses
import json

from sparsebench.suites.model_tools.measures import Loss, Row, Speed
from sparsebench.suites.model_tools.outcome import Done, Outcome, Side
from sparsebench.suites.model_tools.texts import HeldOut

ROWS = [Row(HeldOut("a", str(number), "text"), (0, 1), 10) for number in range(4)]


def outcome(speed: tuple[Speed, Speed] | str = "not measured: no memory") -> Outcome:
    before = Side(1000, 800, 4000, Loss(ROWS, (20.0, 22.0, 24.0, 26.0)))
    after = Side(1000, 400, 1000, Loss(ROWS, (24.0, 27.0, 29.0, 30.0)))
    return Outcome(
        out="there",
        architecture="MixtralForCausalLM",
        steps=[Done("quantise bits=4", "80 matrices", 1.4)],
        before=before,
        after=after,
        speed=speed,
        text="own.jsonl",
        engines={"vllm": "opens it"},
        notes=["quantise: few tokens"],
    )


def test_the_table() -> None:
    text = str(outcome((Speed(100.0, 10.0), Speed(50.0, 20.0))))
    rows = {line[:18].strip(): line[18:].split() for line in text.splitlines() if line.endswith("x")}
    assert rows["active"] == ["800", "400", "0.50", "x"]
    assert rows["bytes on disk"] == ["4,000", "1,000", "0.25", "x"]
    assert rows["tokens/s read"] == ["100.0", "50.0", "0.50", "x"]
    assert "2.300 ± 0.411  2.750 ± 0.421  +0.450 ± 0.092 (worse)" in text
    assert text.startswith("quantise bits=4: 80 matrices (1 s)\nnote: quantise: few tokens\n")
    assert "4 documents of own.jsonl" in text and text.endswith("vllm: opens it\nwritten to there (MixtralForCausalLM)")
    assert "tokens per second: not measured: no memory" in str(outcome())


def test_noise_of_rounding_has_no_sign() -> None:
    nearly = Loss(ROWS, (20.001, 22.0, 24.002, 26.001))  # of 20 bytes each
    same = dataclasses.replace(outcome(), after=Side(1000, 400, 1000, nearly))
    assert "0.000 (the same, to the digits shown)" in str(same)


def test_the_document() -> None:
    document = json.loads(json.dumps(outcome().document(), allow_nan=False))
    assert document["after"]["active"] == 400 and document["tokens_per_second"] is None
    assert document["tokens_per_second_missing"] == "not measured: no memory"
    change = document["change_in_bits_per_byte"]
    assert change["low"] < change["mean"] < change["high"] and change["outcome"] == "worse"
    assert round(change["mean"], 9) == 0.45
    assert document["steps"] == [{"asked": "quantise bits=4", "done": "80 matrices", "seconds": 1.4}]
    measured = outcome((Speed(100.0, 10.0), Speed(50.0, 20.0))).document()["tokens_per_second"]
    assert measured["after"] == {"read": 50.0, "written": 20.0}
