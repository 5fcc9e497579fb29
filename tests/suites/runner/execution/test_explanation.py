"""Reasons, tracebacks and warnings: one line, and writable, whatever the exception holds."""

import json
import re
import resource
import warnings

import pytest

from sparsebench.models.anatomy import UnknownAnatomy
from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.runner.execution.explanation import LONGEST, explain, trace_of, warning_lines


class MuteError(Exception):
    def __str__(self) -> str:
        raise RuntimeError("no text")


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (RuntimeError("it\n broke"), ("failed", "RuntimeError: it broke")),
        (RuntimeError(), ("failed", "RuntimeError: RuntimeError")),
        (NotApplicable("no blocks"), ("n/a", "no blocks")),
        (UnknownAnatomy("no blocks"), ("n/a", "no blocks")),
        (MemoryError(), ("oom", "out of memory: MemoryError")),
        (RuntimeError("CUDA out of memory."), ("oom", "out of memory: CUDA out of memory.")),
        (SystemExit("usage: train [-h]"), ("failed", "SystemExit: usage: train [-h]")),
        (SystemExit(3), ("failed", "SystemExit: 3")),
        (KeyboardInterrupt("enough"), ("failed", "KeyboardInterrupt: enough")),
        (OSError("cannot open [/data/x.csv]"), ("failed", "OSError: cannot open [/data/x.csv]")),
        (ValueError("a\ud800b"), ("failed", "ValueError: a\\ud800b")),
        (MuteError(), ("failed", "MuteError: its text cannot be had (RuntimeError)")),
    ],
)
def test_reasons(error: BaseException, expected: tuple[str, str]) -> None:
    assert explain(error) == expected


@pytest.mark.parametrize(("bound", "status"), [(resource.RLIM_INFINITY, "failed"), (2**33, "oom")])
def test_what_onednn_says_where_memory_is_bounded(monkeypatch: pytest.MonkeyPatch, bound: int, status: str) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda kind: (bound, resource.RLIM_INFINITY))
    assert explain(RuntimeError("could not create a primitive"))[0] == status


def test_what_is_long_is_cut() -> None:
    assert len(explain(RuntimeError("x" * 10_000))[1]) == LONGEST
    assert trace_of(RuntimeError("x" * 100_000 + "the end")).rstrip().endswith("the end")
    assert len(trace_of(RuntimeError("x" * 100_000))) == 20_000


def test_an_error_in_an_own_file_ends_with_its_line_and_what_leaves_the_process_does_not() -> None:
    reasons = []
    for raised in (ValueError("it broke"), ValueError("x" * 10_000), SystemExit("enough")):
        try:
            raise raised
        except BaseException as error:
            reasons.append(explain(error)[1])
    assert re.fullmatch(r"ValueError: it broke \(test_explanation\.py:\d+\)", reasons[0])
    assert len(reasons[1]) == LONGEST and "x (test_explanation.py:" in reasons[1]
    assert reasons[2] == "SystemExit: enough"


def test_a_trace_can_be_written() -> None:
    for error in (ValueError("a\ud800b"), MuteError()):
        json.dumps(trace_of(error), ensure_ascii=False).encode()


def test_warnings() -> None:
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for text in ("a\nb", "a b", "half \ud800", *(f"w{number}" for number in range(30))):
            warnings.warn(text, stacklevel=1)
    lines = warning_lines(caught)
    assert lines[:3] == ["UserWarning: a b", "UserWarning: half \\ud800", "UserWarning: w0"]
    assert len(lines) == 20
