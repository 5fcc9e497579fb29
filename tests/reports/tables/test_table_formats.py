"""The forms of the tables: Markdown, CSV, LaTeX and the terminal."""

import csv
import io

from rich.console import Console

from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables import table_formats as printing
from sparsebench.reports.tables.comparison import compare
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_entries import column_title
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image")


def table(records):
    (matrix,) = matrices(records)
    return suite_table(matrix, INFO)


def test_golden_markdown(make):
    sizes = {"bytes": 19_800_000, "bytes_trained": 1_200_000}
    costs = Costs(params_active=4_952_008, params_trainable=300_000, **sizes, latency_ms=3.2, unit="image")
    records = make.side("base", [0.5, 0.52, 0.54], costs=costs)
    text = printing.to_markdown(table(records)).splitlines()
    costs = "| active params | trained params | size | size / task | latency / image | images/s | speed / base |"
    assert text[2] == f"| method | t (%) ↑ {costs}"
    assert text[4] == "| base | 52.0 ± 5.3 | 4.95 M | 300 k | 19.8 MB | 1.2 MB | 3.2 ms | 312 | 1.00× |"


def test_markdown_pipes_do_not_break_the_table(make):
    assert r"| base a\|b |" in printing.to_markdown(table([make.record("base a|b")]))


def test_markdown_shows_a_label_and_a_reason_as_they_are(make):
    na = make.record("a", status="n/a", reason="needs <b>more</b>")
    text = printing.to_markdown(table([*make.side("two\n*x* <b> [1](http://x.y)", [0.5, 0.6, 0.7]), na]))
    assert r"| two \*x\* \<b> [1\](http://x.y) | 60.0" in text
    assert r"[1] n/a: needs \<b>more\</b>" in text


def test_csv_holds_unrounded_numbers(make):
    shown = table([*make.side("base", [1 / 3, 2 / 3]), make.record("a", status="oom")])
    rows = list(csv.DictReader(io.StringIO(printing.to_csv(shown))))
    assert [row["label"] for row in rows] == ["base", "a"]
    assert float(rows[0]["t@1 accuracy [share] mean"]) == 0.5
    assert rows[1]["t@1 accuracy [share] mean"] == ""
    assert rows[1]["t@1 accuracy [share] status"] == "oom"


def test_csv_has_the_ends_that_the_table_prints(make):
    """Of 18 right of 18, mean and half width alone make an interval up to 113 %."""
    all_right = make.metric(1.0, stderr=0.0, n=18)
    shown = table([make.record("base", score=all_right)])
    (row,) = csv.DictReader(io.StringIO(printing.to_csv(shown)))
    low, high = (float(row[f"t@1 accuracy [share] {end}"]) for end in ("low", "high"))
    assert f"100.0 [{100 * low:.1f}, {100 * high:.1f}]" in printing.to_markdown(shown)
    assert high == 1.0


def test_latex_is_escaped(make):
    text = printing.to_latex(table(make.side("50 % of_it & {more}", [0.5, 0.6, 0.7])))
    assert r"50 \% of\_it \& \{more\}" in text
    assert r"$\pm$" in text
    assert not any(character in text for character in "±−†")
    assert text.count(r"\\") == 2


def test_no_row_of_latex_begins_with_what_the_line_before_takes_for_its_argument(make):
    text = printing.to_latex(table([*make.side("[16] <r>", [0.5, 0.6]), *make.side("*best*", [0.5, 0.6])]))
    first, second = (line for line in text.splitlines() if line.endswith(r"\\") and "method" not in line)
    assert {first[:12], second[:8]} == {r"{}[16] \text", "{}*best*"}


def test_terminal_form(make):
    lines = compare(make.side("a", [0.8, 0.81, 0.82]), make.side("b", [0.7, 0.71, 0.71]))
    console = Console(width=160, record=True, file=io.StringIO())
    console.print(printing.comparison_table(lines, "a", "b"))
    text = console.export_text()
    assert "a minus b" in text
    assert "+10.3 [8.9, 11.8] points" in text
    assert "better" in text


def test_columns_say_what_is_better(make):
    lower = make.metric(1.5, higher_is_better=False, unit="bits/byte")
    shown = table([make.record("base", "a"), make.record("base", "b", score=lower)])
    assert [column_title(column) for column in shown.columns] == ["a (%) ↑", "b (bits/byte) ↓"]


def test_csv_holds_no_formulas(make):
    shown = table(make.side("=1+2", [-0.25, -0.5], task="@t", backbone="-vit"))
    text = printing.to_csv(shown)
    (row,) = csv.DictReader(io.StringIO(text))
    assert (row["label"], row["backbone"]) == ("'=1+2", "'-vit")
    assert float(row["'@t@1 accuracy [share] mean"]) == -0.375  # a number is no text


def test_a_reason_of_several_lines_stays_in_its_footnote(make):
    """Audit D13: in LaTeX the second line was no comment any more."""
    na = make.record("a", status="n/a", reason="no\n\\input{/etc/passwd}\rsite\u2028x")
    shown = table([*make.side("base", [0.5, 0.6]), na])
    note = "[1] n/a: no \\input{/etc/passwd} site x"
    assert f"% {note}\n" in printing.to_latex(shown)
    assert f"\n{note}\n" in printing.to_markdown(shown)


def test_no_form_of_a_table_holds_a_control_character(make):
    evil = "a \x1b]0;title\x07"
    na = make.record("b", status="n/a", reason=evil, cell={"task": evil})
    shown = table([*make.side(evil, [0.5, 0.6], task=evil), *make.side("base", [0.5, 0.6], task=evil), na])
    for text in (printing.to_markdown(shown), printing.to_latex(shown), printing.to_csv(shown)):
        assert not {"\x1b", "\x07"} & set(text)
        assert "x1b]0;title" in text
