"""`reproduce`: the list, and one table."""


def test_tables_are_listed_and_shown(sparsebench) -> None:
    code, out, _ = sparsebench("reproduce")
    assert code == 0 and "v1-table-2" in out and "impossible" in out
    code, out, _ = sparsebench("reproduce", "v1-table-2")
    assert code == 0 and "88.4" in out and "state: ready for one GPU" in out
