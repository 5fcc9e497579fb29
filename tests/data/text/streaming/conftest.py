"""Folders of text by domain in every format, and tokenizers whose tokens are known."""

import gzip
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pyarrow
import pyarrow.parquet
import pytest


class ByteTokens:
    """A tokenizer with one token for each byte."""

    def __call__(self, text: str, **settings: Any) -> dict[str, list[int]]:
        assert settings == {"add_special_tokens": False, "verbose": False}
        return {"input_ids": list(text.encode())}


def lines_of(texts: Sequence[str], field: str = "text") -> str:
    return "".join(json.dumps({"id": number, field: text}) + "\n" for number, text in enumerate(texts))


def write_parquet(file: Path, texts: Sequence[str | None], rows_in_group: int = 2) -> None:
    table = pyarrow.table({"id": range(len(texts)), "text": texts})
    pyarrow.parquet.write_table(table, file, row_group_size=rows_in_group)


@pytest.fixture
def tokenizer() -> ByteTokens:
    return ByteTokens()


@pytest.fixture
def texts(tmp_path: Path) -> Path:
    """Two domains; the documents of the first are "a0" to "a9", in the order of its files, in all four formats."""
    first, deeper = tmp_path / "texts" / "first", tmp_path / "texts" / "first" / "deeper"
    deeper.mkdir(parents=True)
    second = tmp_path / "texts" / "second"
    second.mkdir()
    (first / "1.txt").write_text("a0")
    (first / "2.jsonl").write_text(lines_of(["a1", "a2", "  \n"]) + "\n" + lines_of(["a3"]))
    with gzip.open(first / "3.jsonl.gz", "wt", encoding="utf-8") as stream:
        stream.write(lines_of(["a4", "a5"]))
    write_parquet(first / "4.parquet", ["a6", "a7", "a8"])
    (deeper / "1.txt").write_text("a9")
    (first / ".hidden").write_text("no text of the user's")
    (second / "only.txt").write_text("Überall → text, in two\nlines\n")
    return tmp_path / "texts"
