"""What a cell is made of, found by names."""

from dataclasses import replace

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.errors import UsageError

from ..cells import INFO


def test_parts_of_a_chain_with_a_teacher() -> None:
    info = replace(INFO, then=[Link(method="linear_probe")], further_backbones=["hf:owner/name"])
    parts = parts_of(info)
    assert [entry.name for entry in parts.entries] == ["dense", "linear_probe", "synthetic", "tiny", "hf"]
    assert [name for _, name in parts.backbones] == ["tiny", "hf:owner/name"]


@pytest.mark.parametrize(("field", "kind"), [("method", "method"), ("task", "task"), ("backbone", "backbone")])
def test_what_is_not_installed_is_named(field: str, kind: str) -> None:
    with pytest.raises(UsageError, match=f"unknown {kind} 'dence'"):
        parts_of(replace(INFO, **{field: "dence"}))
