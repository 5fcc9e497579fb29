"""Tables that are written can be read."""

from .tables import markdown, rows_of


def test_there_and_back_without_heads() -> None:
    rows = [["a", "1"], ["b", "–"]]
    other = [["c", "d", "e"]]
    text = "\n".join(["# Title", "- a: b", *markdown(["x", "y"], rows), "", "text", *markdown(["p", "q", "r"], other)])
    assert rows_of(text) == rows + other
