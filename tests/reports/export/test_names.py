"""Names that every file system and the hub take, different for different texts."""

import pytest
from huggingface_hub.utils import validate_repo_id
from hypothesis import given
from hypothesis import strategies as st

from sparsebench.reports.export.names import file_name


@given(st.lists(st.text(), unique=True, max_size=8))
def test_different_texts_have_different_names_that_the_hub_takes(texts: list[str]) -> None:
    names = [file_name(text) for text in texts]
    assert len({name.lower() for name in names}) == len(texts)
    for name in names:
        validate_repo_id(f"owner/{name}")


@pytest.mark.parametrize("text", ["MoE 50 %", "../up", "a/b", "x" * 300, "", "..", "a--b"])
def test_what_had_to_change_ends_in_a_digest(text: str) -> None:
    name = file_name(text)
    assert name != text and "/" not in name and len(name) < 80 and not name.startswith(".")
    assert len(name.rpartition("-")[2]) == 8


def test_what_is_a_name_already_stays() -> None:
    assert file_name("vtab-1.digits-1") == "vtab-1.digits-1"
