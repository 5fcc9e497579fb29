import pytest

from sparsebench.data.errors import UnknownSource
from sparsebench.data.text import evalsets


def test_sets_are_described_by_the_manifest():
    found = evalsets.eval_sets()
    assert {"hellaswag", "piqa", "arc_easy", "arc_challenge", "sciq", "boolq", "winogrande", "openbookqa"} <= set(found)
    assert found["hellaswag"].documents == 10_042
    assert "non-commercial" in found["sciq"].licence


def test_unknown_set():
    with pytest.raises(UnknownSource, match="unknown evaluation set 'hellswag'; did you mean hellaswag"):
        evalsets.arrow_file("hellswag")


@pytest.mark.data
@pytest.mark.parametrize("name", sorted(evalsets.eval_sets()))
def test_arrow_file_has_the_stated_rows(name: str):
    import pyarrow

    with evalsets.arrow_file(name).open("rb") as stream:
        table = pyarrow.ipc.open_stream(stream).read_all()
    assert table.num_rows == evalsets.eval_set(name).documents
