"""What a cell is made of, found by names."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.discovery import registry
from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.errors import UsageError

from ....packages import installed
from ..cells import INFO


def test_parts_of_a_chain_with_a_teacher() -> None:
    info = replace(INFO, then=[Link(method="linear_probe")], further_backbones=["hf:owner/name"])
    parts = parts_of(info)
    assert [entry.name for entry in parts.entries] == ["dense", "linear_probe", "synthetic", "tiny", "hf"]
    assert [name for _, name in parts.backbones] == ["tiny", "hf:owner/name"]


def test_a_router_of_another_package_that_an_option_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with installed(tmp_path, monkeypatch) as install:
        install({"mine.py": '"""A router"""'}, {"routers:mine": "mine"})
        registry.entries.cache_clear()
        parts = parts_of(replace(INFO, method="moe_random", config={"router": "mine"}))
        assert [(entry.kind, entry.module) for entry in parts.brought] == [("router", "package_of_tests.mine")]
        assert parts.brought[0] in parts.entries
        assert not parts_of(replace(INFO, method="moe_random", config={"router": "mlp"})).brought
    registry.entries.cache_clear()


@pytest.mark.parametrize(("field", "kind"), [("method", "method"), ("task", "task"), ("backbone", "backbone")])
def test_what_is_not_installed_is_named(field: str, kind: str) -> None:
    with pytest.raises(UsageError, match=f"unknown {kind} 'dence'"):
        parts_of(replace(INFO, **{field: "dence"}))
