"""Tables for notebooks hold texts of others."""

from sparsebench.reports.records.html_table import MOST_ROWS, html_table


def test_texts_are_escaped_and_bold_ones_marked() -> None:
    html = html_table(["a<", "b"], [["<script>", ("1 & 2", True)], ["x\x1b[0m", "y"]], "of <b>")
    assert html == (
        "<table><caption>of &lt;b&gt;</caption><thead><tr><th>a&lt;</th><th>b</th></tr></thead><tbody>"
        "<tr><th>&lt;script&gt;</th><td><b>1 &amp; 2</b></td></tr>"
        "<tr><th>x\\x1b[0m</th><td>y</td></tr></tbody></table>"
    )


def test_rows_beyond_a_screen_or_two_are_counted() -> None:
    html = html_table(["a"], [[str(number)] for number in range(MOST_ROWS + 7)])
    assert html.count("<th>") == MOST_ROWS + 1 and "and 7 more rows" in html and "caption" not in html
