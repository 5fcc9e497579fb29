"""`reproduce`: the list, one table, and what is refused before anything runs."""

from pathlib import Path


def test_tables_are_listed_and_shown(sparsebench) -> None:
    code, out, _ = sparsebench("reproduce")
    assert code == 0 and "v1-table-2" in out and "impossible" in out
    code, out, _ = sparsebench("reproduce", "v1-table-2")
    assert code == 0 and "88.4" in out and "state: ready for one GPU" in out


def test_mistakes_are_refused_in_one_line_and_nothing_is_written(sparsebench, tmp_path: Path) -> None:
    for arguments, message in (
        (["v1-tabel-2"], "did you mean v1-table-2"),
        (["padnet-glue", "--run"], "the training parts of GLUE are in no package"),
        (["v1-table-2", "--run"], "needs --checkpoint"),
        (["v1-table-2", "--stand-in", "--checkpoint", "x"], "leave one of the two out"),
        (["petl-vision", "--stand-in", "--data", "none"], "none is no folder"),
        (["moses-baselines", "--run", "--device", "gpu"], "must be auto, cpu, cuda"),
    ):
        code, _, err = sparsebench("reproduce", *arguments)
        assert code == 2 and message in err.splitlines()[-1], err
    assert list(tmp_path.iterdir()) == []
