"""Whoever knows these errors alone catches what the store raises."""

from pathlib import Path

import pytest

from sparsebench.reports.records.store import MARKER, Store
from sparsebench.reports.records.store_errors import SchemaTooNew, StoreError


def test_the_store_raises_them(tmp_path: Path) -> None:
    (tmp_path / MARKER).write_text('{"schema_version": 999}')
    with pytest.raises(SchemaTooNew, match="999"):
        Store(tmp_path).create()
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError):
        Store(tmp_path / "file").create()
