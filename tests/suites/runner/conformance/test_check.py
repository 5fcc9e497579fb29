"""Every kind has its battery; a line for each rule, and what is broken is counted."""

import io

from rich.console import Console

from sparsebench.suites.runner.conformance import adapters, parts, sources, suites, tasks
from sparsebench.suites.runner.conformance.check import battery, check
from sparsebench.suites.runner.conformance.methods import report
from sparsebench.suites.runner.discovery.registry import Named, called, checkable


def test_every_kind_has_a_battery() -> None:
    batteries = {"adapter": adapters, "source": sources, "suite": suites, "task": tasks}
    for kind in {named.kind for named in checkable()} - {"method"}:
        first = next(named for named in checkable() if named.kind == kind)
        rules = [rule for rule, _ in battery(first).rules]
        known = parts.BATTERIES[kind] if kind in parts.BATTERIES else batteries[kind].BATTERY
        assert len(rules) == len(known) > 0
    assert battery(Named("task", "synthetic", "llm")).what == "task synthetic of llm"


def test_what_is_printed() -> None:
    said = io.StringIO()
    (digits,) = [named for named in called("digits") if named.kind == "source"]
    assert check([digits], Console(file=said, width=200)) == 0
    assert check([Named("source", "no_such_source")], Console(file=said, width=200)) == 1
    lines = said.getvalue().splitlines()
    assert lines[1] == "ok   source digits: reading (1 files)" and lines[3] == "all conform"
    assert lines[4].startswith("FAIL source no_such_source: manifest: unknown source 'no_such_source'")
    assert lines[7] == "3 rules broken"


def test_what_a_plug_in_raises_is_named_with_its_kind_and_place() -> None:
    """Of `KeyError('width')` there was "FAIL ...: 'width'", and of an empty message nothing at all."""
    said = io.StringIO()

    def rule() -> None:
        raise KeyError("width")

    assert report("mine in llm", "shape", rule, Console(file=said, width=200)) == 1
    line = rule.__code__.co_firstlineno + 1
    assert said.getvalue() == f"FAIL mine in llm: shape: KeyError: 'width' (test_check.py:{line})\n"
