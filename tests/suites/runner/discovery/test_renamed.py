"""Options and values by the names that older records have for them."""

from dataclasses import replace
from pathlib import Path

import pytest

from sparsebench.reports.records.record import Link
from sparsebench.suites.runner.discovery import renamed
from sparsebench.suites.runner.discovery.registry import Entry
from sparsebench.suites.runner.discovery.renamed import in_todays_words
from sparsebench.suites.runner.errors import UsageError

from ..cells import INFO


@pytest.mark.parametrize(
    ("method", "then", "now"),
    [
        ("llama_moe_v1", {"strict_release": True, "split": None}, {"faithful": True, "split": None}),
        ("cmoe", {"split": "carved", "top_k": 3}, {"split": "cmoe", "top_k": 3}),
        ("cmoe", {"split": "random"}, {"split": "random"}),
        ("sampling", {"heed": False, "keep_scaffold": True}, {"use_condition": False, "scaffold_prefix": True}),
    ],
)
def test_every_link_speaks_todays_words(method: str, then: dict, now: dict) -> None:
    first = in_todays_words(replace(INFO, method=method, config=then))
    assert first == replace(INFO, method=method, config=now)
    second = in_todays_words(replace(INFO, then=[Link(method=method, config=then)]))
    assert second.then == [Link(method=method, config=now)]
    assert in_todays_words(second) == second


def test_a_name_that_leads_nowhere_is_a_mistake(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "dense.py"
    path.write_text('RENAMED = {"old": "gone"}\n')
    entry = Entry("method", "dense", "sparsebench.suites.methods.baselines.dense", path)
    monkeypatch.setattr(renamed, "find", lambda *names: entry)
    with pytest.raises(UsageError, match="leads to 'gone', which is no option of dense"):
        in_todays_words(INFO)
