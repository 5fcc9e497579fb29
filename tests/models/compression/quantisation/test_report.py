"""What a report says."""

from sparsebench.models.compression.quantisation.report import QuantisationReport, QuantisedWeight


def weight(how: str = "gptq", error: float | None = 0.1) -> QuantisedWeight:
    return QuantisedWeight(path="layers.0.experts.down", expert=3, how=how, bits=4, tokens=7, error=error)


def test_fallbacks_and_errors() -> None:
    report = QuantisationReport(method="gptq", weights=[weight(), weight(error=0.3), weight("rtn", None)])
    assert report.fallbacks == [weight("rtn", None)]
    assert report.error() == 0.2
    assert QuantisationReport().error() is None


def test_a_line_for_people_names_what_was_not_as_asked() -> None:
    report = QuantisationReport(method="awq", weights=[weight("awq")], bytes_before=80, bytes_after=20)
    assert report.summary() == "1 matrices by awq, 80 -> 20 bytes"
    report.weights.append(weight("rtn"))
    report.not_scaled["layers.0.norm"] = "it has no scale of its own"
    assert report.summary() == (
        "2 matrices by awq, 80 -> 20 bytes; 1 rounded to nearest for want of tokens "
        "(layers.0.experts.down[3]); not scaled: layers.0.norm"
    )


def test_weights_that_make_nothing_faster_are_counted_with_the_reason() -> None:
    report = QuantisationReport(weights=[weight("rtn")], bytes_before=80, bytes_after=20)
    report.read_dense = {"layers.0.up": "no compiler", "layers.0.down": "no compiler"}
    assert report.summary() == (
        "1 matrices by rtn, 80 -> 20 bytes; 2 weights are multiplied as dense ones (no compiler)"
    )


def test_thousands_of_matrices_print_as_one_line() -> None:
    report = QuantisationReport(method="gptq", weights=[weight()] * 2999 + [weight("rtn", None)], bytes_before=10**6)
    report.not_scaled = {f"layers.{number}.norm": "<b>why" for number in range(900)}
    text = str(report)
    assert text == repr(report) and "\n" not in text and len(text) < 200
    assert "3000 matrices by gptq, 1,000,000 -> 0 bytes" in text and "mean output error 0.1" in text
    assert "1 rounded to nearest" in text and "900 not scaled" in text
    shown = report._repr_html_()
    assert "layers.0.experts.down" in shown and shown.count("<tr") < 30
    assert report == QuantisationReport(**vars(report)) != QuantisationReport()
