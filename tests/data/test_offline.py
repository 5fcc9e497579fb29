import pytest

from sparsebench.data.offline import offline


@pytest.mark.parametrize(("value", "expected"), [(None, False), ("", False), ("0", False), ("1", True), ("yes", True)])
def test_set_and_not_zero(value: str | None, expected: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SPARSEBENCH_OFFLINE", raising=False)
    if value is not None:
        monkeypatch.setenv("SPARSEBENCH_OFFLINE", value)
    assert offline() is expected
