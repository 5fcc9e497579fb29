"""Numbers as people read them."""

import pytest

from sparsebench.reports.statistics import Estimate
from sparsebench.reports.tables import formatting


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (0.4234, "share", "42.3"),
        (42.34, "%", "42.3"),
        (1.0449, "bits/byte", "1.045"),
        (12.345, "", "12.35"),
        (123.45, "", "123.5"),
        (-0.5, "", "−0.500"),
    ],
)
def test_number(value, unit, text):
    assert formatting.number(value, unit) == text


def test_a_difference_has_its_sign():
    assert formatting.number(0.041, "share", signed=True) == "+4.1"
    assert formatting.number(-0.041, "share", signed=True) == "−4.1"


def test_an_interval_whose_sides_differ_is_printed_by_its_ends():
    skewed = Estimate(0.98, 0.063, 1, "examples", (0.917, 0.995))
    assert formatting.estimate(skewed, "share") == "98.0 [91.7, 99.5]*"
    even = Estimate(0.8, 0.026, 1, "examples", (0.774, 0.824))
    assert formatting.estimate(even, "share") == "80.0 ± 2.6*"


def test_estimates_have_as_many_digits_in_their_half_width():
    assert formatting.estimate(Estimate(0.42, 0.0131, 3, "seeds"), "share") == "42.0 ± 1.3°"
    assert formatting.estimate(Estimate(0.42, 0.0131, 1, "examples"), "share") == "42.0 ± 1.3*"
    assert formatting.estimate(Estimate(0.42, 0.0131, 3, "seeds and examples"), "share") == "42.0 ± 1.3"
    assert formatting.estimate(Estimate(1.5, None, 1, "none"), "") == "1.500"


def test_intervals():
    assert formatting.interval(Estimate(0.041, 0.021, 3, "seeds"), "share") == "+4.1 [2.0, 6.2]"
    assert formatting.interval(Estimate(-0.5, 1.0, 3, "seeds"), "") == "−0.500 [−1.500, 0.500]"
    assert formatting.interval(Estimate(0.5, None, 1, "none"), "") == "+0.500"


def test_huge_numbers_do_not_fill_a_page():
    """R12."""
    assert formatting.estimate(Estimate(1e99, 2e98, 3, "seeds and examples"), "share") == "1e+101 ± 2e+100"
    assert formatting.interval(Estimate(-1e99, 2e99, 3, "seeds"), "") == "−1e+99 [−3e+99, 1e+99]"
    assert formatting.number(9_999_999.0) == "9999999.0"


def test_scores_in_a_small_unit_are_no_zeros():
    """Of concentrations in mol/L every row was 0.000 ± 0.000."""
    assert formatting.number(2.4744e-9) == "2.47e−09"
    assert formatting.estimate(Estimate(2.4744e-9, 3.44e-10, 1, "examples"), "mol/L") == "2.47e−09 ± 3.44e−10*"
    assert formatting.interval(Estimate(1e-9, 2e-9, 3, "seeds"), "") == "+1e−09 [−1e−09, 3e−09]"
    assert formatting.interval(Estimate(0.0002, 0.01, 3, "seeds"), "") == "+0.000 [−0.010, 0.010]"
    assert formatting.estimate(Estimate(0.0, 0.0, 3, "seeds"), "") == "0.000 ± 0.000°"
    assert formatting.number(1e-6, "share") == "0.0"


def test_the_margin_stands_wherever_equivalent_does():
    assert formatting.outcome("equivalent", 0.01, "share") == "equivalent (within ±1.0 points)"
    assert formatting.outcome("equivalent", 0.2, "kcal/mol") == "equivalent (within ±0.200 kcal/mol)"
    assert formatting.outcome("undecided", 0.01, "share") == "undecided"


def test_p_values():
    shown = [formatting.p_value(p) for p in (None, 0.0001, 0.0123, 0.5)]
    assert shown == ["–", "< 0.001", "0.012", "0.50"]


@pytest.mark.parametrize(
    ("how", "value", "text"),
    [
        ("count", None, "–"),
        ("count", 999, "999"),
        ("count", 999_900, "1 M"),
        ("count", 6_100_000, "6.1 M"),
        ("size", 24_000_000, "24 MB"),
        ("milliseconds", 0.05, "50 µs"),
        ("milliseconds", 2.5, "2.5 ms"),
        ("milliseconds", 2500, "2.5 s"),
        ("times", 0.75, "0.75×"),
        ("times", 0.0021, "0.002×"),
        ("times", None, "–"),
        ("duration", 5.04, "5.0 s"),
        ("duration", 59.4, "59 s"),
        ("duration", 200, "3 min 20 s"),
        ("duration", 7500, "2 h 5 min"),
        ("moment", "2026-11-24T10:00:31+00:00", "2026-11-24 10:00"),
    ],
)
def test_quantities(how, value, text):
    assert getattr(formatting, how)(value) == text


def test_units():
    assert [formatting.shown_unit(unit) for unit in ("share", "%", "kcal/mol")] == ["%", "%", "kcal/mol"]
    assert [formatting.points(unit) for unit in ("share", "%", "kcal/mol")] == ["points", "points", "kcal/mol"]
    assert [formatting.scale(unit) for unit in ("share", "%")] == [100.0, 1.0]


def test_a_fraction_in_per_cent():
    assert (formatting.per_cent(0.4234), formatting.per_cent(None)) == ("42.3 %", "–")


def test_numbers_of_things_and_lists_of_names():
    assert [formatting.counted(*one) for one in ((1, "study"), (3, "study"), (1200, "record"))] == [
        *("1 study", "3 studies", "1,200 records"),
    ]
    assert [formatting.listed(names) for names in (["a"], ["a", "b"], ["a", "b", "c"])] == [
        "a",
        "a and b",
        "a, b and c",
    ]


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("linear_probe · r=8@50% [2] & k < 3", "linear_probe · r=8@50% [2] & k < 3"),
        ("_probe_ `a` ~~b~~", r"\_probe\_ \`a\` \~\~b\~\~"),
        ("<!-- -- &lt; </b>", r"\<!-- -- \&lt; \</b>"),
        (r"a\*b \input", r"a\\\*b \input"),
    ],
)
def test_markdown_gets_no_markup_from_a_name(text, shown):
    assert formatting.markdown_text(text) == shown
