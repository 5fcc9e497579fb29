"""Training costs: columns of the tables and a table of the page, where a record has them."""

import csv
import io

import pytest

from sparsebench.reports.page.html import unpack
from sparsebench.reports.page.reading import Reading
from sparsebench.reports.page.render import render
from sparsebench.reports.records.record import Costs, Link, TeacherCosts, TrainingCosts
from sparsebench.reports.tables.dataframe import to_frame
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table
from sparsebench.reports.tables.table_formats import to_csv, to_latex, to_markdown

INFO = SuiteInfo(
    title="T", description="", baseline="old", unit="image", controls={"shuffle": [{}], "cut": [{"random": True}]}
)
TITLES = ("parameters trained", "training FLOPs", "training time", "peak memory in training")
TEACHER_TITLES = ("teacher's parameters", "of them trained", "teacher's training FLOPs", "teacher's training time")


def test_speed_is_compared_on_the_tasks_that_both_ran_on(make):
    def measured(label, task, latency):
        return make.side(label, [0.5, 0.51], task, costs=Costs(latency_ms=latency, unit="image"))

    table = table_of(measured("old", "small", 1.0) + measured("old", "large", 100.0) + measured("new", "small", 2.0))
    place = table.cost_titles.index("speed / old")
    assert {line.name: line.costs[place] for line in table.lines} == {"old": 1.0, "new": 0.5}


@pytest.fixture
def records(make):
    """A row with training costs, measured three times, and one of a version that did not know them."""
    found = [make.record("old", seed=seed) for seed in range(3)]
    for seed, flops in enumerate((1e9, 5e9, 3e9)):
        training = TrainingCosts(params=1500, flops=flops, seconds=75.0, peak_memory=2_000_000 if seed else None)
        found.append(make.record("taught", seed=seed, training=training))
    return found


def table_of(records):
    (matrix,) = matrices(records)
    return suite_table(matrix, INFO)


def test_medians_over_a_row_and_dashes_for_older_records(records):
    table = table_of(records)
    assert table.training_titles == TITLES
    training = {line.name: line.training for line in table.lines}
    assert training == {"old": (None,) * 4, "taught": (1500, 3e9, 75.0, 2_000_000)}
    (old, taught) = to_markdown(table).splitlines()[4:6]
    assert old.endswith("| – | – | – | – |")
    assert taught.endswith("| 1.5 k | 3 G | 1 min 15 s | 2 MB |")
    assert r"1.5 k & 3 G & 1 min 15 s & 2 MB \\" in to_latex(table)
    header, *rows = csv.reader(io.StringIO(to_csv(table)))
    assert header[-4:] == list(TITLES)
    assert {row[0]: row[-4:] for row in rows} == {
        "old": [""] * 4,
        "taught": ["1500", "3000000000.0", "75.0", "2000000.0"],
    }


def test_nothing_is_added_where_no_record_has_them(make, tmp_path):
    table = table_of([make.record("old"), make.record("new")])
    assert table.training_titles == ()
    assert not any(title in to_markdown(table) for title in TITLES)
    assert rows_of(render(Reading(records=[make.record("old")]), tmp_path, {"vtab": INFO}))[0] == []


def rows_of(page):
    """Titles of the training costs, and the rows of the first track."""
    track = unpack(page.read_text())["tracks"][0]
    return track["training"], track["rows"]


def test_the_page_has_columns_of_them(records, tmp_path):
    titles, rows = rows_of(render(Reading(records=records), tmp_path, {"vtab": INFO}))
    assert titles == list(TITLES)
    assert sorted([row[f"t{number}t"] for number in range(4)] for row in rows) == [
        ["1.5 k", "3 G", "1 min 15 s", "2 MB"],
        ["–", "–", "–", "–"],
    ]


@pytest.fixture
def with_teacher(make):
    """A row without a teacher, and one of which two cells know the teacher's part."""
    found = [make.record("old", training=TrainingCosts(params=10, seconds=1.0))]
    for seed, taken in enumerate((1.0, 3.0)):
        teacher = TeacherCosts(params_total=5_000, params=500, flops=2e9, seconds=taken)
        found.append(
            make.record("taught", seed=seed, training=TrainingCosts(params=1_500, seconds=9.0, teacher=teacher))
        )
    return found


def test_a_teacher_has_columns_of_its_own(with_teacher, tmp_path):
    """Medians, dashes where there is none; in every form of the table."""
    table = table_of(with_teacher)
    assert table.training_titles == (*TITLES, *TEACHER_TITLES)
    training = {line.name: line.training[4:] for line in table.lines}
    assert training == {"old": (None,) * 4, "taught": (5_000, 500, 2e9, 2.0)}
    old, taught = to_markdown(table).splitlines()[4:6]
    assert old.endswith("| – | – | – | – |") and taught.endswith("| 5 k | 500 | 2 G | 2.0 s |")
    header, *_ = csv.reader(io.StringIO(to_csv(table)))
    assert tuple(header[-4:]) == TEACHER_TITLES
    titles, rows = rows_of(render(Reading(records=with_teacher), tmp_path, {"vtab": INFO}))
    assert titles == [*TITLES, *TEACHER_TITLES]
    assert ["5 k", "500", "2 G", "2.0 s"] in [[row[f"t{number}t"] for number in range(4, 8)] for row in rows]
    frame = to_frame(with_teacher)
    assert frame["teacher_seconds"].dropna().tolist() == [1.0, 3.0]
    assert frame["teacher_params_total"].dropna().tolist() == [5_000, 5_000]


def test_the_frame_has_them_and_the_links_of_a_chain(make):
    chain = make.record(
        "a",
        cell={"config": {"r": 1}, "then": [Link(method="b", config={"q": 2})], "further_backbones": ["x", "y:2"]},
        training=TrainingCosts(params=7, seconds=1.5),
    )
    frame = to_frame([chain, make.record("a", seed=1)])
    first, second = frame.to_dict("records")
    assert (first["method"], first["config"], first["further_backbones"]) == ("a+b", '[{"r":1},{"q":2}]', "x, y:2")
    assert (first["training_params"], first["training_seconds"]) == (7, 1.5)
    assert frame["training_flops"].isna().all()
    assert (second["method"], second["config"], second["further_backbones"]) == ("a", '{"rank":8}', "")


@pytest.mark.parametrize(
    ("method", "config", "then", "role"),
    [
        ("shuffle", {}, [], "control"),
        ("shuffle", {}, [Link(method="heal")], "method"),
        ("heal", {}, [Link(method="cut", config={"random": True, "rank": 2})], "control"),
        ("heal", {}, [Link(method="cut", config={"random": False})], "method"),
    ],
)
def test_a_chain_is_a_control_if_a_link_of_it_is_configured_as_one(make, method, config, then, role):
    records = [make.record("old"), make.record("x", cell={"method": method, "config": config, "then": then})]
    assert {line.name: line.role for line in table_of(records).lines} == {"old": "baseline", "x": role}
