"""What the pictures show: which tasks, which rows, and what came of them; the longest training of each row."""

from sparsebench.reports.page.pictures import FEWEST, MAX_DOTS, long_trainings, overview
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.result_section import suites_of
from sparsebench.reports.page.results_document import DOCUMENT, results_document
from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables.suite_table import SuiteInfo

from .runs import INFOS

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image", controls={"copies": [{}]})
LONG = [(float(place), 1 / place) for place in range(1, FEWEST + 3)]
NAME = "2. val accuracy by tokens"


def side(make, label, low, task="t", **cell):
    costs = Costs(params_active=1000, unit="image")
    return make.side(label, [low, low + 0.01, low + 0.02], task, costs, **cell)


def plots(records, info=INFO):
    (suite,) = suites_of(Reading(records=records), {"vtab": info})
    return overview(suite.headlines)


def test_rows_are_sorted_and_say_what_came_of_them(make):
    records = side(make, "base", 0.5) + side(make, "good", 0.7) + side(make, "bad", 0.3) + side(make, "copies", 0.9)
    (plot,) = plots(records + side(make, "lonely", 0.6, backbone="other"))
    assert [(dot.name, dot.kind) for dot in plot.dots] == [
        ("copies", "control"),
        ("good", "better"),
        ("lonely · other", "better"),
        ("base", "baseline"),
        ("bad", "worse"),
    ]
    assert plot.title == "t, accuracy (%) · vit-tiny"
    assert plot.found == "2 of 3 methods beat base", "the control is none"
    assert plot.dots[1].value.mean == 71.0
    assert plot.dots[1].cost == 1000


def test_a_row_whose_spread_nobody_measured_says_so(make):
    records = [
        make.record(label, score=make.metric(value, stderr=None)) for label, value in (("base", 0.5), ("x", 0.6))
    ]
    (plot,) = plots(records)
    assert {dot.name: dot.kind for dot in plot.dots}["x"] == "not comparable"


def test_lower_errors_come_first(make):
    records = []
    for label, value in (("base", 2.0), ("good", 1.0)):
        score = make.metric(value, higher_is_better=False, unit="kcal/mol")
        records += [make.record(label, "t", seed, score) for seed in range(2)]
    (plot,) = plots(records)
    assert [dot.name for dot in plot.dots] == ["good", "base"]
    assert plot.title == "t, kcal/mol · vit-tiny"
    assert not plot.higher_is_better


def test_tasks_that_may_be_averaged_are_one_plot_of_the_complete_rows(make):
    records = [r for task in ("t", "u") for label in ("base", "a") for r in side(make, label, 0.5, task)]
    (plot,) = plots(records + side(make, "half", 0.9, "t"))
    assert {dot.name for dot in plot.dots} == {"base", "a"}
    assert plot.title == "mean accuracy (%) of 2 tasks · vit-tiny"


def test_each_baseline_has_the_tasks_that_most_rows_were_run_on(make):
    info = SuiteInfo(title="T", description="", baseline="base", unit="x", group_baselines={"text": "probe"})
    records = []
    for task, labels in (("few", ["base", "a"]), ("many", ["base", "a", "b"])):
        for label in labels:
            score = make.metric(0.5, unit=task)
            records += [make.record(label, task, seed, score) for seed in range(2)]
    records += side(make, "probe", 0.5, "words", group="text") + side(make, "a", 0.6, "words", group="text")
    assert [plot.title.partition(",")[0] for plot in plots(records, info)] == ["many", "words"]


def test_a_single_row_is_no_plot_and_long_lists_are_cut(make):
    assert plots(side(make, "base", 0.5)) == []
    records = [r for i in range(MAX_DOTS + 3) for r in side(make, f"row {i}", 0.01 * i)]
    (plot,) = plots(records)
    assert len(plot.dots) == MAX_DOTS
    assert plot.dots[0].name == f"row {MAX_DOTS + 2}"


def test_the_baseline_is_never_cut_away(make):
    """D10: a plot of the best twelve rows showed twelve outcomes against nothing."""
    records = side(make, "base", 0.1)
    for number in range(MAX_DOTS + 3):
        records += side(make, f"row {number:02}", 0.3 + 0.01 * number)
    (plot,) = plots(records)
    assert len(plot.dots) == MAX_DOTS
    assert (plot.dots[0].name, plot.dots[-1].name) == (f"row {MAX_DOTS + 2}", "base")


def trained(make, label, seed, curve):
    return make.record(label, "language", seed, make.metric(0.5), curves={NAME: curve, "train loss": LONG})


def test_the_longest_of_each_row_are_drawn_beside_the_table(make):
    records = [
        trained(make, "base", 0, LONG[:FEWEST]),
        trained(make, "base", 1, LONG),
        trained(make, "LoRA", 0, LONG),
        trained(make, "short", 0, LONG[: FEWEST - 1]),
    ]
    reading = Reading(records=records)
    plot = long_trainings(reading)
    assert plot is not None and plot.curves == {"base": LONG, "LoRA": LONG}
    assert plot.title == "Language" and plot.up == "accuracy (%) ↑, validation part"
    files = results_document({"results/healed": reading}, INFOS)
    assert ">LoRA</text>" in files["curves-healed-dark.svg"]
    assert files[DOCUMENT].count('src="curves-healed-light.svg"') == 1
    assert long_trainings(Reading(records=records[1:2] + records[3:])) is None, "one row alone"


def test_studies_and_what_is_objected_to_have_no_curves(make):
    reading = Reading(records=[trained(make, label, 0, LONG) for label in ("base", "LoRA")], objection="Objected to.")
    assert not [name for name in results_document({"results/old": reading}, INFOS) if name.startswith("curves")]
