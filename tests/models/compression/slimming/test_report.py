"""What a report adds up, and what it says."""

from sparsebench.models.compression.slimming.report import PrunedLinear, PruningReport


def linear(name: str, **fields: object) -> PrunedLinear:
    known = {"part": "experts", "shape": (4, 6), "criterion": "wanda", "tokens": 9, "asked": 12, "zeros": 12}
    return PrunedLinear(name=name, **(known | fields))  # type: ignore[arg-type]


def test_sums_and_maps_that_fell_back() -> None:
    other = linear("b", criterion="magnitude", tokens=0, zeros=13, shape=(3, 8))
    report = PruningReport(method="wanda", linears=(linear("a"), other))
    assert (report.asked, report.zeros, report.entries) == (24, 25, 48)
    assert report.sparsity == 25 / 48
    assert report.fallen_back == (other,)
    text = str(report)
    assert "25 of 48 weights in 2 linear maps are 0 (52.08%; asked for 24)" in text
    assert "no bytes are saved" in text
    assert "for want of calibration tokens (their number): b (0)" in text


def test_nothing_fell_back() -> None:
    report = PruningReport(method="wanda", linears=(linear("a"),))
    assert report.fallen_back == () and "magnitude" not in str(report)


def test_many_maps_are_counted_where_few_are_named() -> None:
    fell = [linear(f"<{number}>", criterion="magnitude", tokens=0) for number in range(500)]
    report = PruningReport(method="wanda", linears=(linear("a"), *fell))
    assert len(str(report)) < 500 and "and 492 more" in str(report)
    assert repr(report).startswith("PruningReport(wanda: 6,012 of 12,024 weights in 501 linear maps are 0; 500 maps by")
    shown = report._repr_html_()
    assert "&lt;499&gt;" in shown and "<499>" not in shown and shown.count("<tr") < 30
