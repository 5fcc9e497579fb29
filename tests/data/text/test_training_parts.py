"""Training parts share no piece with each other or with what is scored, and no group with each other."""

import pytest

from sparsebench.data.errors import UnknownSource
from sparsebench.data.text.decontamination.overlap import Overlap, words
from sparsebench.data.text.documents import passages
from sparsebench.data.text.domains import DOMAINS
from sparsebench.data.text.halves import Document, halves
from sparsebench.data.text.training_parts import _clean_pieces, part_of, training_pieces

RUN = "these thirteen words in a row stand in a question that somebody scores"


def test_a_group_in_ten_is_held_out():
    parts = [part_of(str(number)) for number in range(2000)]
    assert 150 < parts.count("val") < 250
    assert parts.count("val") + parts.count("train") == 2000


def test_parts_share_no_group_and_no_piece_and_hold_nothing_scored():
    documents = [Document(str(n), f"{word} of {n}") for n in range(300) for word in ("first", "second")]
    documents += [Document(str(n), f"shared\n\n{'x ' * 60}{n}") for n in range(300)]
    documents += [Document(str(n), f"It says: {RUN.upper()}! ({n})") for n in range(300)]
    found = _clean_pieces(tuple(documents), 20, Overlap([RUN]))
    assert not set(found["train"]) & set(found["val"])
    assert "shared" in found["val"] and "shared" not in found["train"]
    groups = {part: {piece.split()[-1] for piece in found[part]} - {"shared"} for part in ("train", "val")}
    assert groups["train"] | groups["val"] == {str(n) for n in range(300)}
    assert not groups["train"] & groups["val"]
    assert not any("thirteen" in piece.lower() for piece in (*found["train"], *found["val"]))


def test_unknown_domain():
    with pytest.raises(UnknownSource, match="unknown text domain 'laws'; did you mean law"):
        training_pieces("laws", "train", 4000)


CHARACTERS = {
    "encyclopedic": 2_363_198,
    "code": 933_034,
    "law": 698_663,
    "mathematics": 1_300_577,
    "science": 3_313_098,
    "speech": 4_300_212,
    "drama": 2_403_987,
}
"""For training, measured on the pinned packages."""


@pytest.mark.data
@pytest.mark.timeout(1200)  # the first time on a machine, everything is compared with everything
@pytest.mark.parametrize("domain", DOMAINS)
def test_real_parts(domain: str):
    train, val = passages(domain, "train"), passages(domain, "val")
    assert {*train, *val} <= set(passages(domain, "calibration"))
    assert not set(train) & set(val)
    assert sum(map(len, train)) == CHARACTERS[domain]
    assert 0.02 < sum(map(len, val)) / sum(map(len, train)) < 0.2


@pytest.mark.data
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("domain", ["law", "code", "mathematics"])
def test_no_run_of_words_is_in_the_test_half(domain: str):
    """By sets of words, with no hash of ours."""
    train = {run for piece in passages(domain, "train") for run in runs(piece)}
    scored = {run for document in halves(domain)["test"] for run in runs(document.text)}
    assert len(train) > 50_000 and len(scored) > 50_000
    assert not train & scored


def runs(text: str) -> set[tuple[str, ...]]:
    found = words(text)
    return {tuple(found[start : start + 13]) for start in range(len(found) - 12)}
