"""What figures are drawn on: SVG text that takes font and colour from the page, the same each time."""

import re
import xml.etree.ElementTree

from sparsebench.reports.figures.svg import INK, canvas, empty_figure, label_width, opening, short


def drawn(title="a title"):
    with canvas((3.0, 2.0), title) as (axes, svg):
        axes.plot([0, 1], [1, 2], color=INK)
        axes.set_xlabel("steps <&>")
    return svg[0]


def test_it_is_embeddable():
    svg = drawn()
    root = xml.etree.ElementTree.fromstring(svg.replace("xlink:href", "href"))
    assert root.get("aria-label") == "a title"
    assert root.get("viewBox") == "0 0 216 144"
    assert "width" not in root.attrib, "as wide as its place allows"
    assert "currentColor" in svg
    assert INK not in svg
    assert "DejaVu" not in svg
    assert "metadata" not in svg


def test_the_same_figure_is_the_same_text():
    assert drawn() == drawn()


def test_an_empty_figure_has_its_size():
    with empty_figure((1.0, 1.0), "t") as (figure, svg):
        assert tuple(figure.get_size_inches()) == (1.0, 1.0)
        assert svg == []
    assert svg[0].startswith('<svg viewBox="0 0 72 72"')


def test_titles_are_escaped():
    assert 'aria-label="&lt;b&gt; &quot;x&quot;"' in opening("0 0 1 1", '<b> "x"')


def test_long_names_are_cut_and_take_room():
    assert short("abc", 3) == "abc"
    assert short("abcd", 3) == "ab…"
    assert label_width(["a", "abc"]) > label_width(["a"]) > label_width([])


def test_a_dollar_in_a_label_is_a_dollar():
    """Audit D11: "a $_$ b" was read as a formula of matplotlib's, and no page was made."""
    with canvas((2, 2), "labels") as (axes, svg):
        axes.barh([0], [1], label="a $_$ b")
        axes.set_yticks([0], ["a $_$ b"])
        axes.set_xlabel("a $_$ b")
        axes.text(0, 0, "a $_$ b")
        axes.legend()
    assert svg[0].count("a $_$ b</text>") == 4


def test_numbers_at_logarithmic_axes_are_powers_of_ten():
    with canvas((3, 2), "costs") as (axes, svg):
        axes.set_xscale("log")
        axes.plot([1e-3, 1e3], [0, 1])
    shown = re.sub("<!--.*?-->", "", svg[0])
    assert "<tspan" in shown
    assert "mathdefault" not in shown and "$" not in shown


def test_signs_that_matplotlib_has_no_glyph_for_are_the_pages():
    """Warnings are errors here; the warning held the sign itself, and so told a terminal what to do."""
    with canvas((2, 2), "labels") as (axes, svg):
        axes.text(0, 0, "\u4e2d\u6587")
    assert "\u4e2d\u6587</text>" in svg[0]
