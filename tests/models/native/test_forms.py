import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from sparsebench.models.native import forms
from sparsebench.models.native.forms import SWITCH, by_rules, fastest, is_by_rules, known, octave, status

KIND = ("product", "float32", 3)


@pytest.fixture(autouse=True)
def fresh(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """An empty cache, and a clock that the forms move themselves."""
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path))
    monkeypatch.setattr(forms, "_chosen", {})
    monkeypatch.setattr(forms, "perf_counter", lambda: Form.clock)
    Form.clock = 0.0
    with by_rules(False):
        yield


class Form:
    """Takes the given seconds, one after the other; the last of them each time after."""

    clock = 0.0

    def __init__(self, *seconds: float) -> None:
        self.seconds = list(seconds)
        self.calls = 0

    def __call__(self) -> None:
        Form.clock += self.seconds[min(self.calls, len(self.seconds) - 1)]
        self.calls += 1


def never() -> None:
    raise AssertionError("nothing is to be measured")


def test_the_fastest_is_taken_and_measured_once() -> None:
    slow, fast = Form(0.02), Form(0.3, 0.01)
    assert fastest(KIND, {"slow": slow, "fast": fast}, "slow") == "fast"
    assert fastest(KIND, {"slow": never, "fast": never}, "slow") == "fast"
    assert slow.calls == fast.calls > 1


@pytest.mark.parametrize(("seconds", "expected"), [(0.0099, "rule"), (0.0096, "other")])
def test_what_is_level_with_the_rule_stays(seconds: float, expected: str) -> None:
    assert fastest(KIND, {"other": Form(seconds), "rule": Form(0.01)}, "rule") == expected


def test_long_forms_run_twice_for_the_first_call_makes_what_later_ones_have() -> None:
    first = Form(3.0, 1.0)
    assert fastest(KIND, {"first": first, "second": Form(2.0)}, "second") == "first"
    assert first.calls == 2


def test_another_process_reads_what_was_measured(monkeypatch: pytest.MonkeyPatch) -> None:
    fastest(KIND, {"a": Form(0.02), "b": Form(0.01)}, "a")
    monkeypatch.setattr(forms, "_chosen", {})
    assert fastest(KIND, {"a": never, "b": never}, "a") == "b"
    assert [found["ms"] for found in known().values()] == [{"a": 20.0, "b": 10.0}]
    assert "1 classes" in status()


@pytest.mark.parametrize("change", ["processor", "threads", "forms"])
def test_elsewhere_it_is_measured_again(change: str, monkeypatch: pytest.MonkeyPatch) -> None:
    fastest(KIND, {"a": Form(0.02), "b": Form(0.01)}, "a")
    monkeypatch.setattr(forms, "_chosen", {})
    names = ("a", "b")
    if change == "processor":
        monkeypatch.setattr(forms, "machine", lambda: "another")
    elif change == "threads":
        monkeypatch.setattr(torch, "get_num_threads", lambda: 77)
    else:
        names = ("a", "c")
    again = {name: Form(seconds) for name, seconds in zip(names, (0.01, 0.02), strict=True)}
    assert fastest(KIND, again, "a") == "a"
    assert all(form.calls for form in again.values())


@pytest.mark.parametrize("content", ["", "[]", '{"machine": 3}', '{"machine": {"kind": {"form": "a"}}}', "\udcff"])
def test_a_file_that_is_none_of_ours_is_measured_anew(content: str, tmp_path: Path) -> None:
    place = forms.kernel_folder() / "forms.json"
    place.parent.mkdir(parents=True)
    place.write_bytes(content.encode("utf-8", "surrogateescape"))
    assert fastest(KIND, {"a": Form(0.02), "b": Form(0.01)}, "a") == "b"
    assert len(next(iter(json.loads(place.read_text()).values()))) == 1


def test_where_nothing_can_be_written_the_process_knows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("SPARSEBENCH_CACHE", str(tmp_path / "file"))
    assert fastest(KIND, {"a": Form(0.02), "b": Form(0.01)}, "a") == "b"
    assert fastest(KIND, {"a": never, "b": never}, "a") == "b"


def test_rules_measure_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    with by_rules():
        assert fastest(KIND, {"a": never, "b": never}, "a") == "a"
    with by_rules(False):
        assert not is_by_rules()
    forms._rules.set(None)
    monkeypatch.setenv(SWITCH, "rules")
    assert is_by_rules()
    assert "rules" in status()
    monkeypatch.setenv(SWITCH, "rule")
    with pytest.raises(ValueError, match="SPARSEBENCH_FORMS=rule: it is measured or rules"):
        is_by_rules()


def test_operations_that_somebody_counts_are_not_run_more_often() -> None:
    with FlopCounterMode(display=False):
        assert fastest(KIND, {"a": never, "b": never}, "a") == "a"
    assert fastest(KIND, {"a": Form(0.02), "b": Form(0.01)}, "a") == "b"


def test_counts_within_a_quarter_of_an_octave_are_one_class() -> None:
    assert octave(512) == 36
    assert octave(540) == 36
    assert octave(600) == 37
    assert octave(0.25) == -8
