from pathlib import Path

import pytest

from sparsebench.models.native import processor


def test_the_first_of_several_counts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "cpuinfo"
    file.write_text("model name\t: One: 2 GHz\nflags\t\t: avx2 fma\nbugs\t\t:\n\nmodel name\t: Two\n")
    monkeypatch.setattr(processor, "FILE", file)
    assert processor.facts() == {"model name": "One: 2 GHz", "flags": "avx2 fma", "bugs": ""}


def test_where_nothing_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(processor, "FILE", tmp_path / "none")
    with pytest.raises(FileNotFoundError):
        processor.facts()
