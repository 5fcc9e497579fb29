"""Summaries: who wins by how much and how sure, and what wins nothing: controls, and rows without a baseline."""

from dataclasses import replace

import pytest

from sparsebench.reports.records.example_files import ExampleReader
from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables.brief import briefs
from sparsebench.reports.tables.comparison import contrasts
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table
from sparsebench.reports.tables.summary import summary

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image", controls={"copies": [{}]})
GROUPED = SuiteInfo(title="Language", description="", baseline="base", unit="token", group_baselines={"text": "probe"})


def found_in(records, info=INFO, examples=None):
    """The summaries of the one suite, by family."""
    (matrix,) = matrices(records, examples)
    made = briefs(suite_table(matrix, info), contrasts(matrix, info))
    return {brief.family.name: summary(matrix, brief) for brief in made}


def summarise(records, info=INFO):
    """All that is said of each family, but the short form."""
    return {name: f"{one.sentence} {one.others}".strip() for name, one in found_in(records, info).items()}


def test_it_says_who_wins_how_much_and_how_sure(make):
    records = [r for t in ("t", "u", "v") for r in make.side("base", [0.5, 0.52, 0.49], t)]
    records += [r for t in ("t", "u", "v") for r in make.side("LoRA", [0.6, 0.63, 0.61], t)]
    text = summarise(records)["accuracy"]
    assert text.startswith("LoRA beats base by +11.0 [")
    assert "points (p < 0.001, 3 seeds × 3 tasks, interval over seeds)" in text


@pytest.mark.parametrize(
    ("row", "title", "counts"),
    [
        ([0.70, 0.71, 0.69], "row beats base", {"better": 1}),
        ([0.30, 0.31, 0.29], "Nothing keeps up with base", {"worse": 1}),
        ([0.90, 0.10, 0.60], "No gain over base is shown", {"undecided": 1}),
    ],
)
def test_what_was_found_is_the_title(make, row, title, counts):
    (found,) = found_in(make.side("base", [0.50, 0.51, 0.49]) + make.side("row", row)).values()
    assert found.title == title and found.counts == counts
    assert found.sentence.startswith(found.short.rstrip("."))


def test_several_are_counted_and_a_decision_comes_before_a_doubt(make):
    base = make.side("base", [0.50, 0.51, 0.49])
    two = make.side("one", [0.7, 0.71, 0.69]) + make.side("two", [0.8, 0.81, 0.79])
    (better,) = found_in(base + two).values()
    assert better.title == "2 of 2 methods beat base"
    (doubt,) = found_in(base + make.side("row", [0.9, 0.1, 0.6])).values()
    assert better.rank < doubt.rank


def test_it_says_at_what_cost(make):
    cheap = Costs(params_active=100, bytes=1000, latency_ms=1.0, unit="image")
    dear = Costs(params_active=100, bytes=700, latency_ms=3.0, unit="image")
    records = make.side("base", [0.5, 0.51, 0.52], costs=cheap) + make.side("a", [0.6, 0.61, 0.62], costs=dear)
    assert ", at 70 % of its size and 3 × its latency." in summarise(records)["t (accuracy)"]
    records = make.side("base", [0.5, 0.51, 0.52], costs=cheap) + make.side("a", [0.6, 0.61, 0.62], costs=cheap)
    assert ", at equal cost." in summarise(records)["t (accuracy)"]


def test_without_a_winner(make):
    records = make.side("base", [0.8, 0.82, 0.81]) + make.side("a", [0.6, 0.61, 0.6])
    assert summarise(records)["t (accuracy)"].startswith("No method keeps up with base; the closest: a, −20.7 [")


def test_what_is_undecided_is_no_winner(make):
    records = make.side("base", [0.8, 0.82, 0.84]) + make.side("a", [0.84, 0.8, 0.83])
    text = summarise(records)["t (accuracy)"]
    assert text.startswith("No method is shown to beat base; undecided: a, ")


def test_without_a_baseline(make):
    assert summarise(make.side("a", [0.5])) == {
        "t (accuracy)": "No method is paired with base here; the best score is 50.0 %, of a."
    }


def test_with_the_baseline_alone(make):
    assert summarise(make.side("base", [0.5])) == {
        "t (accuracy)": "No method is paired with base here; its score is 50.0 %."
    }


@pytest.mark.parametrize(
    ("about", "title"), [({"controls": {"copies": [{}]}}, "Controls"), ({"roles": {"copies": "ceiling"}}, "Ceilings")]
)
def test_a_control_or_a_ceiling_wins_nothing_and_is_told_at_the_end(make, about, title):
    """R17: copies of the training molecules beat the model that was trained on them."""
    info = SuiteInfo(title="", description="", baseline="base", unit="image", **about)
    records = make.side("base", [0.5, 0.51, 0.52]) + make.side("a", [0.3, 0.31, 0.32])
    text = summarise(records + make.side("copies", [0.9, 0.91, 0.92]), info)["t (accuracy)"]
    assert text.startswith("No method keeps up with base; the closest: a, ")
    assert text.endswith(f"{title}: copies (+40.0), better.")


def test_controls_alone_are_told(make):
    records = make.side("base", [0.5, 0.51, 0.52]) + make.side("copies", [0.9, 0.91, 0.92])
    assert summarise(records)["t (accuracy)"] == (
        "No method is paired with base here; its score is 51.0 %. Controls: copies (+40.0), better."
    )


def test_the_best_row_is_named_even_where_it_has_no_baseline(make):
    records = make.side("base", [0.5, 0.51, 0.52], backbone="one") + make.side("base", [0.4, 0.41], backbone="two")
    records += make.side("a", [0.3, 0.31, 0.32], backbone="one") + make.side("graph net", [0.9], backbone="three")
    text = summarise(records)["t (accuracy)"]
    assert text.startswith("graph net · three beats base · one by +39.0 [")


def test_the_best_row_is_named_even_if_its_lead_is_undecided(make):
    """R17: on FreeSolv and solubility the best row, on a backbone of its own, was not named."""
    records = make.side("base", [0.5, 0.51, 0.52], backbone="one")
    records += make.side("a", [0.6, 0.61, 0.62], backbone="one") + make.side("net", [0.3, 0.9, 1.0], backbone="two")
    text = summarise(records)["t (accuracy)"]
    assert text.startswith("a · one beats base by +10.0")
    assert "The best score of all, 73.3 %, is that of net · two." in text


def test_equivalence_names_its_margin(make):
    info = SuiteInfo(title="", description="", baseline="base", unit="image", margins={"share": 0.02})
    records = make.side("base", [0.5, 0.5, 0.5]) + make.side("a", [0.501, 0.5, 0.499])
    text = summarise(records, info)["t (accuracy)"]
    assert text.startswith("No method is shown to beat base; equivalent (within ±2.0 points): a, +0.0 [")


def test_times_are_compared_on_one_type_of_processor(make):
    def measured(label, values, processor, latency):
        costs = Costs(latency_ms=latency, unit="image")
        records = make.side(label, values, costs=costs)
        return [replace(record, environment={"processor_type": processor}) for record in records]

    base = measured("base", [0.5, 0.51, 0.52], "new", 1.0)
    text = summarise(base + measured("a", [0.6, 0.61, 0.62], "old", 9.0))["t (accuracy)"]
    assert "latency" not in text
    both = base + measured("a", [0.6, 0.61, 0.62], "new", 2.0)
    assert ", at 2 × its latency." in summarise(both)["t (accuracy)"]


def test_the_baseline_of_the_group_is_named(make):
    records = make.side("base", [0.5, 0.51, 0.53], "zero") + make.side("MoE", [0.4, 0.41, 0.43], "zero")
    cell = {"group": "text", "backbone": "encoder"}
    for label, low in (("probe", 0.7), ("LoRA", 0.8)):
        records += make.side(label, [low, low + 0.01, low + 0.03], "a", **cell)
        records += make.side(label, [low, low + 0.01, low + 0.03], "b", **cell)
    told = summarise(records, GROUPED)
    assert told["text accuracy"].startswith("LoRA beats probe by +10.0")
    assert "base" in told["zero (accuracy)"]
    assert "probe" not in told["zero (accuracy)"]
    missing = summarise(make.side("LoRA", [0.5], group="text"), GROUPED)
    assert "paired with probe here" in missing["t (accuracy)"]


def test_one_seed_of_a_row_that_the_seed_changes_beats_nothing(make):
    """D6: with --seeds 1 every second row was better or worse."""
    plan = {"planned": 1, "stochastic": 1}
    records = [make.record("base", "t", 0, make.metric(0.5), seeds={"planned": 1, "stochastic": 0})]
    records += [make.record(label, "t", 0, make.metric(score), seeds=plan) for label, score in (("a", 0.9), ("b", 0.1))]
    text = summarise(records)["t (accuracy)"]
    assert text.startswith("No method is shown to beat base; one seed: a, +40.0 [")
    assert "(no p from one seed, 1 seed × 1 task, interval over examples)" in text
    (found,) = found_in(records).values()
    assert found.counts == {"one seed": 2} and found.title == "One seed decides nothing against base"


def test_windows_of_one_document_have_no_interval_over_seeds(make):
    """R18: three seeds on one window were "an interval over seeds"."""
    kept = {}
    records = make.side("base", [1.0]) + make.side("a", [1.3, 1.31, 1.32])
    for record in records:
        score = record.metrics["accuracy"].value
        kept[record.id] = {"accuracy": [score, score], "cluster": ["drama 4", "drama 4"]}
    (found,) = found_in(records, examples=ExampleReader(kept.get)).values()
    assert "its examples are of one document" in found.sentence
    assert "over seeds" not in found.sentence


def test_a_score_on_a_part_of_the_tasks_is_said_to_be_one(make):
    """The mean of two tasks was "the best score of all", beneath a row with a higher one on a task alone."""
    records = make.side("base", [0.5, 0.51, 0.52], "one") + make.side("base", [0.7, 0.71, 0.72], "two")
    records += make.side("a", [0.4, 0.51, 0.6], "one") + make.side("a", [0.7, 0.81, 0.72], "two")
    text = summarise(records + make.side("part", [0.71, 0.9, 0.75], "two"))["accuracy"]
    assert "part, +7.7 [" in text and "] points on two alone (p = " in text
    assert "The best mean of all 2 tasks, 62.3 %, is that of a." in text


def test_a_gain_on_the_tasks_that_a_baseline_has_is_said_to_be_one(make):
    """The baseline failed on the hard task, the row was far behind there: "a beats base by +30 points"."""
    records = make.side("base", [0.50, 0.51, 0.52], "easy")
    records += make.side("a", [0.80, 0.81, 0.82], "easy") + make.side("a", [0.20, 0.21, 0.22], "hard")
    (found,) = found_in(records).values()
    assert found.title == "a beats base on easy alone"
    assert "] points on easy alone (p < 0.001, " in found.sentence


def test_costs_are_compared_on_the_tasks_that_both_ran_on(make):
    def measured(label, task, latency):
        return make.side(label, [0.5, 0.51, 0.52], task, costs=Costs(latency_ms=latency, unit="image"))

    records = measured("base", "small", 1.0) + measured("base", "large", 100.0) + measured("a", "small", 2.0)
    assert ", at 2 × its latency." in summarise(records)["accuracy"]


def test_a_cost_that_nobody_measured_is_not_called_equal(make):
    def measured(label, low):
        return make.side(label, [low, low + 0.01, low + 0.02], costs=Costs(params_active=100, unit="image"))

    assert ", at equal active parameters." in summarise(measured("base", 0.5) + measured("a", 0.6))["t (accuracy)"]


def test_a_baseline_that_is_the_best_of_all_is_named(make):
    """A row that beats the baseline of its own backbone was told alone, far behind that of another one."""
    records = make.side("base", [0.9, 0.91, 0.92], backbone="one") + make.side(
        "base", [0.5, 0.51, 0.52], backbone="two"
    )
    text = summarise(records + make.side("a", [0.6, 0.61, 0.62], backbone="two"))["t (accuracy)"]
    assert text.endswith("The best score of all, 91.0 %, is that of base · one.")


def test_a_gain_without_a_unit_names_its_metric(make):
    def side(label, values):
        return [make.record(label, seed=i, score=make.metric(value, unit="")) for i, value in enumerate(values)]

    (found,) = found_in(side("base", [0.5, 0.51, 0.52]) + side("a", [0.7, 0.71, 0.72])).values()
    assert found.short.startswith("a beats base by +0.200 [") and found.short.endswith("] in accuracy.")
