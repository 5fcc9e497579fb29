"""Texts on a terminal are shown as they are, and in the style of what they say."""

from sparsebench.reports.tables.terminal import plain_table, table_of_texts


def test_a_text_is_no_markup_and_a_pair_has_its_style():
    table = table_of_texts(("row", "score"), [["a [red]x", ("1.0", "green")]], right=("score",))
    row, score = ([*column.cells] for column in table.columns)
    assert row[0].plain == "a [red]x" and score[0].style == "green"
    assert [column.justify for column in table.columns] == ["left", "right"]
    assert plain_table(("row",), [["a"]], caption="below").caption_justify == "left"
