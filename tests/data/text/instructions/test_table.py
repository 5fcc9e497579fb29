"""The table names every set of the package exactly once."""

from collections import Counter

import pytest

from sparsebench.data.errors import UnknownSource
from sparsebench.data.text.instructions.table import CODE, GROUPS, check_group, table


def test_groups():
    assert (*table().groups, CODE) == GROUPS
    with pytest.raises(UnknownSource, match="unknown instruction group 'maths'; did you mean mathematics"):
        check_group("maths")


def test_no_set_is_named_twice_and_every_exclusion_has_a_reason():
    named = [name for sets in table().groups.values() for name in sets] + list(table().ungrouped)
    assert [name for name, count in Counter(named).items() if count > 1] == []
    assert not set(named) & set(table().excluded)
    assert all(len(reason) > 10 for reason in table().excluded.values())


def test_exclusion_is_by_folder_or_file():
    assert not table().uses("theory_of_mind/tomi/test.jsonl")
    assert not table().uses("linear-regression/labeled-samples.jsonl")
    assert table().uses("linear-regression/samples.jsonl")
    assert table().uses("theory_of_mind/hitom/hitom.jsonl")
    assert table().uses("logiqa-like/samples.jsonl")


@pytest.mark.data
def test_every_set_with_answers_has_its_place():
    from sparsebench.data.sources import path

    root = path("evals", "sets")
    with_answers = set()
    for file in root.rglob("*.jsonl"):
        with file.open(encoding="utf-8") as lines:
            first = next(lines)
        if '"input"' in first and '"ideal"' in first:
            with_answers.add(file.relative_to(root).parts[0])
    assert len(with_answers) > 430
    named = [name for sets in table().groups.values() for name in sets]
    places = {name.partition("/")[0] for name in [*named, *table().excluded, *table().ungrouped]}
    assert with_answers - places == set()
    for name in [*named, *table().excluded]:
        assert (root / name).exists(), name
