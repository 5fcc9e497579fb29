"""Headlines: written from outcomes and intervals."""

import pytest

from sparsebench.reports.page.headlines import family_name, headline, name_on, spoken
from sparsebench.reports.tables.brief import briefs
from sparsebench.reports.tables.comparison import contrasts
from sparsebench.reports.tables.matrix import matrices
from sparsebench.reports.tables.suite_table import SuiteInfo, suite_table
from sparsebench.reports.tables.summary import best_row

INFO = SuiteInfo(title="V", description="", baseline="base", unit="image", margins={"share": 0.01})


def told(make, **rows):
    records = [record for label, values in rows.items() for record in make.side(label, values)]
    (matrix,) = matrices(records)
    found = contrasts(matrix, INFO)
    (brief,) = briefs(suite_table(matrix, INFO), found)
    return headline(matrix, INFO, brief, found)


BASE = [0.50, 0.51, 0.49]


@pytest.mark.parametrize(
    ("row", "title", "sentence", "counts"),
    [
        ([0.70, 0.71, 0.69], "row beats base", "row beats base by +20.0 [", {"better": 1}),
        (
            [0.30, 0.31, 0.29],
            "Nothing keeps up with base",
            "No method keeps up with base; the closest, row: −20.0 [",
            {"worse": 1},
        ),
        (
            [0.90, 0.10, 0.60],
            "No gain over base is shown",
            "No method is shown to beat base; row (undecided): +3.3 [",
            {"undecided": 1},
        ),
    ],
)
def test_what_was_found_is_the_title(make, row, title, sentence, counts):
    found = told(make, base=BASE, row=row)
    assert found.title == title
    assert found.sentence.startswith(sentence) and found.short.startswith(sentence)
    assert found.counts == counts


def test_one_seed_decides_nothing(make):
    seeds = {"planned": 3, "stochastic": 1}
    records = [make.record(label, score=score, seeds=seeds) for label, score in (("base", 0.5), ("row", 0.9))]
    (matrix,) = matrices(records)
    found = contrasts(matrix, INFO)
    (brief,) = briefs(suite_table(matrix, INFO), found)
    assert headline(matrix, INFO, brief, found).title == "One seed decides nothing against base"


def test_several_are_counted_and_a_decision_comes_before_a_doubt(make):
    better = told(make, base=BASE, one=[0.7, 0.71, 0.69], two=[0.8, 0.81, 0.79])
    assert better.title == "2 of 2 methods beat base"
    assert better.rank < told(make, base=BASE, row=[0.9, 0.1, 0.6]).rank


def test_without_a_baseline_the_best_score_is_told(make):
    found = told(make, row=[0.7, 0.71, 0.69])
    assert found.title == "Nothing to compare"
    assert found.sentence == "Nothing is paired with base here; the best score is 70.0 %, of row."


def test_tasks_have_names_that_people_say(make):
    assert spoken("freesolv") == "Hydration free energy (FreeSolv)"
    assert spoken("a_task_of_mine") == "A task of mine"
    records = [make.record("base", task) for task in ("digits", "fashion_mnist")]
    (matrix,) = matrices(records)
    (family,) = INFO.families(matrix)
    assert family_name(family) == "Handwritten digits and Fashion-MNIST"
    assert best_row(matrix, INFO, family) == matrix.rows[0]
    (brief,) = briefs(suite_table(matrix, INFO), [])
    assert name_on(matrix, matrix.rows[0], brief) == "base", "all rows share the backbone"
