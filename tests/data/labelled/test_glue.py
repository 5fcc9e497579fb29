"""How the packaged GLUE rows are read: one sentence or a pair, names of the classes."""

from pathlib import Path
from typing import Any

import pyarrow
import pytest

from sparsebench.data.labelled import glue


@pytest.fixture
def rows(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    def write(found: list[dict[str, Any]]) -> None:
        table = pyarrow.Table.from_pylist(found)
        with pyarrow.ipc.new_stream(tmp_path / "rows.arrow", table.schema) as stream:
            stream.write_table(table)
        monkeypatch.setattr(glue, "arrow_file", lambda name: tmp_path / "rows.arrow")

    return write


def test_sentences(rows: Any) -> None:
    rows([{"sentence": "fine", "label": 1}, {"sentence": "dull", "label": 0}])
    table = glue.glue_validation("sst2")
    assert table.texts == ("fine", "dull")
    assert [table.classes[target] for target in table.targets] == ["positive", "negative"]


def test_pairs_are_numbered_by_the_alphabet_not_as_in_glue(rows: Any) -> None:
    rows([{"sentence1": "a", "sentence2": "b", "label": 0}, {"sentence1": "c", "sentence2": "d", "label": 1}])
    mrpc = glue.glue_validation("mrpc")
    assert mrpc.texts == (("a", "b"), ("c", "d")) and mrpc.classes == ("equivalent", "not equivalent")
    assert mrpc.targets.tolist() == [1, 0]
    rte = glue.glue_validation("rte")
    assert [rte.classes[target] for target in rte.targets] == ["entailment", "not entailment"]
