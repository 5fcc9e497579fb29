"""The comparison table and its text forms."""

import pytest

from sparsebench.reports.records.record import Costs
from sparsebench.reports.tables import table_formats as printing
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_entries import entry_text
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table

INFO = SuiteInfo(title="Vision", description="", baseline="base", unit="image")


def table(records):
    (matrix,) = matrices(records)
    return suite_table(matrix, INFO)


def by_name(records):
    return {line.name: line for line in table(records).lines}


def test_rows_start_with_the_baseline_then_by_rank(make):
    records = make.side("bad", [0.1]) + make.side("good", [0.9]) + make.side("base", [0.2])
    assert [line.name for line in table(records).lines] == ["base", "good", "bad"]


def test_best_is_what_cannot_be_distinguished_from_the_best(make):
    records = (
        make.side("base", [0.70, 0.71, 0.72]) + make.side("a", [0.80, 0.81, 0.82]) + make.side("b", [0.81, 0.79, 0.83])
    )
    best = {name: line.entries[0].best for name, line in by_name(records).items()}
    assert best == {"base": False, "a": True, "b": True}


def test_lower_is_better(make):
    scores = {"base": [2.0, 2.1, 2.05], "a": [1.0, 1.1, 1.05]}
    records = [
        make.record(label, score=make.metric(v, higher_is_better=False, unit=""), seed=seed)
        for label, values in scores.items()
        for seed, v in enumerate(values)
    ]
    lines = by_name(records)
    assert lines["a"].entries[0].best
    assert not lines["base"].entries[0].best
    assert "↓" in printing.to_markdown(table(records))


def test_nothing_at_chance_is_best(make):
    values = {"base": [0.10, 0.11, 0.09], "a": [0.11, 0.10, 0.12]}
    records = [
        make.record(label, score=make.metric(v, chance=0.1), seed=s)
        for label, scores in values.items()
        for s, v in enumerate(scores)
    ]
    for line in table(records).lines:
        assert line.entries[0].at_chance
        assert not line.entries[0].best
    assert "†" in printing.to_markdown(table(records))


@pytest.mark.parametrize("status", ["failed", "oom", "timeout"])
def test_failures_stand_in_the_table(make, status):
    records = [make.record("base"), make.record("a", status=status, reason="broke")]
    entry = by_name(records)["a"].entries[0]
    assert (entry.kind, entry.reason) == (status, "broke")
    assert f"| a | {status} |" in printing.to_markdown(table(records))


def test_a_lost_seed_is_marked(make):
    records = [make.record("base", seed=0), make.record("base", seed=1, status="failed")]
    entry = by_name(records)["base"].entries[0]
    assert (entry.kind, entry.lost) == ("value", 1)
    assert "!" in entry_text(entry, "share", {})


def test_reasons_become_numbered_footnotes(make):
    records = [
        make.record("base", "t"),
        make.record("base", "u"),
        make.record("a", "t", status="n/a", reason="no attention"),
        make.record("a", "u", status="n/a", reason="no MLP"),
        make.record("b", "t", status="n/a", reason="no attention"),
    ]
    shown = table(records)
    text = printing.to_markdown(shown)
    assert printing.footnotes(shown) == {"no attention": 1, "no MLP": 2}
    assert entry_text(shown.lines[1].entries[0], "share", {}) == "n/a"
    assert "| a | n/a [1] | n/a [2] |" in text
    assert "| b | n/a [1] | – |" in text
    assert "[1] n/a: no attention\n[2] n/a: no MLP\n" in text


def test_both_averages(make):
    records = [
        make.record("base", task, score=value, cell={"group": group})
        for task, value, group in (("a", 0.2, "x"), ("b", 0.4, "x"), ("c", 0.9, "y"))
    ]
    shown = table(records)
    assert [average.title for average in shown.averages] == ["mean accuracy", "mean of groups"]
    assert [entry.estimate.mean for entry in shown.lines[0].averages] == pytest.approx([0.5, 0.6])


def test_no_average_over_fewer_tasks(make):
    records = [make.record("base", "a"), make.record("base", "b"), make.record("a", "a")]
    (entry,) = by_name(records)["a"].averages
    assert entry.kind == "missing"


def test_scores_without_a_unit_are_not_averaged(make):
    records = [make.record("base", task, score=make.metric(1.0, unit="")) for task in ("a", "b")]
    assert table(records).averages == ()


def test_two_budgets_of_one_task_are_two_rows(make):
    records = [make.record("base", cell={"budget": {"epochs": n}}, score=0.1 * n) for n in (1, 2)]
    assert [line.name for line in table(records).lines] == ["base · epochs=2", "base · epochs=1"]


def test_two_versions_of_a_task_are_two_columns(make):
    records = [make.record("base", cell={"task_version": version}) for version in ("1", "2")]
    assert [column.version for column in table(records).columns] == ["1", "2"]


def test_a_task_where_nothing_ran_is_still_a_column(make):
    records = [make.record("base", "t"), make.record("base", "u", status="oom")]
    assert [entry.kind for entry in table(records).lines[0].entries] == ["value", "oom"]


def test_speed_is_relative_to_the_baseline(make):
    def costs(latency):
        return Costs(latency_ms=latency, unit="image")

    records = [make.record("base", costs=costs(2.0)), make.record("fast", costs=costs(1.0)), make.record("unmeasured")]
    shown = {line.name: line.costs[-2:] for line in table(records).lines}
    assert shown == {"base": (500.0, 1.0), "fast": (1000.0, 2.0), "unmeasured": (None, None)}
    alone = table([make.record("fast", costs=costs(1.0))]).lines[0].costs
    assert alone[-2:] == (1000.0, None)


def test_the_winner_is_bold_also_without_an_interval_of_its_own(make):
    """D8: only a worse row was bold in a column whose best one, a deterministic model on seven windows, had none."""
    records = [make.record("base", score=make.metric(0.9, stderr=None))]
    records += [make.record("a", seed=s, score=make.metric(v, stderr=None)) for s, v in enumerate((0.5, 0.51, 0.52))]
    lines = by_name(records)
    assert lines["base"].entries[0].estimate.covers == "none"
    assert {name: line.entries[0].best for name, line in lines.items()} == {"base": True, "a": False}


def test_nothing_is_bold_where_nothing_can_be_distinguished(make):
    """R18."""
    records = make.side("base", [0.5, 0.6, 0.7]) + make.side("a", [0.6, 0.7, 0.5])
    assert not any(line.entries[0].best for line in by_name(records).values())


def test_times_of_another_type_of_processor_have_columns_of_their_own(make):
    def measured(label, processor, latency):
        place = {"processor_type": processor}
        return make.record(label, costs=Costs(latency_ms=latency, unit="image"), environment=place)

    shown = table([measured("base", "new", 2.0), measured("a", "new", 1.0), measured("b", "old", 4.0)])
    assert shown.processors == ("new", "old")
    titles = shown.cost_titles
    assert titles[4:] == (
        *("latency / image", "images/s", "speed / base"),
        *("latency / image [P2]", "images/s [P2]", "speed / base [P2]"),
    )
    costs = {line.name: line.costs[4:] for line in shown.lines}
    assert costs["a"] == (1.0, 1000.0, 2.0, None, None, None)
    assert costs["b"] == (None, None, None, 4.0, 250.0, None)
    text = printing.to_markdown(shown)
    assert "Times: new; [P2]: old." in text
    assert "| 4 ms | 250 | – |" in text


def test_a_table_says_what_its_intervals_cover(make):
    records = [make.record("base", "t", score=0.5), *make.side("base", [0.5, 0.6], "u")]
    records += [make.record("base", "v", s, make.metric(v, stderr=None)) for s, v in enumerate((0.5, 0.6))]
    texts = [entry_text(entry, "share", {}) for entry in table(records).lines[0].entries]
    assert [text[-1] for text in texts] == ["*", "6", "°"]
    assert "covers seeds and test examples; * test examples alone" in printing.to_markdown(table(records))


def test_rows_have_a_role_and_a_control_is_never_the_best(make):
    info = SuiteInfo(title="T", description="", baseline="base", unit="image", controls={"copies": [{"rank": 8}]})
    records = []
    for label, low in (("base", 0.5), ("a", 0.6), ("copies all", 0.9)):
        records += [make.record(label, seed=seed, score=low + 0.001 * seed) for seed in range(3)]
    records += [make.record("copies few", cell={"config": {"rank": 4}}, score=0.55)]
    (matrix,) = matrices(records)
    table = suite_table(matrix, info)
    assert {line.name: line.role for line in table.lines} == {
        "base": "baseline",
        "a": "method",
        "copies all": "control",
        "copies few": "method",
    }
    assert [line.name for line in table.lines if line.entries[0].best] == ["a"]
    assert "| copies all (control) |" in printing.to_markdown(table)


def test_a_table_says_whose_costs_are_of_a_compact_form(make):
    info = SuiteInfo(title="T", description="", baseline="base", unit="image", deployed={"pad": {"compact": True}})
    records = [make.record("base", score=0.5)]
    records += [make.record("pad", cell={"config": {"compact": True, "ratio": 0.3}}, score=0.55)]
    (matrix,) = matrices(records)
    assert "latency of the compact form, made after training: pad." in printing.to_markdown(suite_table(matrix, info))
    (matrix,) = matrices([records[0], make.record("pad", cell={"config": {"compact": False}}, score=0.55)])
    assert "compact form" not in printing.to_markdown(suite_table(matrix, info))
