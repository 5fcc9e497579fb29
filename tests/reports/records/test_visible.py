"""What a terminal, and a table, shows of texts of others."""

import pytest

from sparsebench.reports.records.visible import visible


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (
            "as it is: \u00e4 \u2212 \u00b1 \U0001f600\tand\nmore",
            "as it is: \u00e4 \u2212 \u00b1 \U0001f600\tand\nmore",
        ),
        ("\x1b]0;title\x07", r"\x1b]0;title\x07"),
        ("\x9b31m \x7f \x00", r"\x9b31m \x7f \x00"),
        ("done\r[1/2] ok", r"done\x0d[1/2] ok"),
    ],
)
def test_control_characters_are_written_out(text: str, shown: str) -> None:
    assert visible(text) == shown
