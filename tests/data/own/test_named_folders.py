import pytest

from sparsebench.data.own.named_folders import not_named


def test_the_variable_is_named_until_it_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_GLUE", raising=False)
    reason = not_named("glue")
    assert reason is not None and reason.startswith("glue is a folder of yours: set SPARSEBENCH_GLUE to it; ")
    monkeypatch.setenv("SPARSEBENCH_GLUE", "somewhere")
    assert not_named("glue") is None


def test_a_source_that_is_fetched_needs_no_name() -> None:
    assert not_named("moses") is None
