"""Halves share no group and no document; pieces cover them."""

from sparsebench.data.text.halves import halves, pieces


def test_halves_are_disjoint_by_group_and_unique(pets: str):
    calibration, test = halves(pets)["calibration"], halves(pets)["test"]
    assert len(calibration) + len(test) == 401 == len({document.text for document in (*calibration, *test)})
    assert 120 < len(test) < 280
    assert not {document.group for document in calibration} & {document.group for document in test}
    assert sum(document.text == "shared" for document in (*calibration, *test)) == 1


def test_pieces_are_distinct_and_cut_at_blank_lines():
    found = pieces(["a b\n\nc d\n\ne", "c d\n\nlonger than eight\n\nf", "  "], characters=4)
    assert sorted(found) == ["a b", "c d", "e", "f", "longer than eight"]
    assert pieces(["one\n\ntwo"], characters=100) == ["one\n\ntwo"]
