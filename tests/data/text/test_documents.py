import hashlib

import pytest

from sparsebench.data.errors import UnknownSource
from sparsebench.data.text import domains
from sparsebench.data.text.documents import documents, origins, passages


def test_unknown_domain_and_part():
    with pytest.raises(UnknownSource, match="unknown text domain 'maths'; did you mean mathematics"):
        domains.source_of("maths")
    with pytest.raises(UnknownSource, match="unknown part 'tets'; did you mean test"):
        documents("law", "tets")  # type: ignore[arg-type]
    with pytest.raises(UnknownSource, match="unknown part 'trian'; did you mean train"):
        passages("law", "trian")  # type: ignore[arg-type]


def test_passages_cover_the_half(pets: str):
    pieces = passages(pets, "test", characters=8)
    assert {"more"} | {line for document in documents(pets, "test") for line in document.split("\n\n")} == set(pieces)
    assert all(len(piece) > 8 or "\n" not in piece for piece in pieces)


def test_pieces_say_which_document_they_are_of(pets: str):
    whole = documents(pets, "test")
    for piece, number in zip(passages(pets, "test", characters=8), origins(pets, "test", characters=8), strict=True):
        assert piece in whole[number]


# Documents in both halves together, measured on the pinned packages.
SIZES = {
    "encyclopedic": 9329,
    "code": 8462,
    "law": 868,
    "mathematics": 5000,
    "science": 260,
    "speech": 249,
    "drama": 42,
}


@pytest.mark.data
@pytest.mark.parametrize("domain", domains.DOMAINS)
def test_real_domain(domain: str):
    calibration, test = documents(domain, "calibration"), documents(domain, "test")
    assert len(calibration) + len(test) == len({*calibration, *test}) == SIZES[domain]
    assert min(len(calibration), len(test)) > 0.4 * SIZES[domain]
    assert sum(len(document.encode()) for document in test) > 1e6


PASSAGES = {
    "encyclopedic": (4720, 4609, "77b5e6f32bf61605"),
    "code": (4528, 3934, "efeb0a3b16f55e32"),
    "law": (644, 610, "cd4703458c9b3fc2"),
    "mathematics": (2495, 2509, "61a2ca6e0c65a0b7"),
    "science": (1145, 944, "46db28133bb85a1d"),
    "speech": (1620, 1899, "0cde086374b3e455"),
    "drama": (667, 682, "49118fc9dba19d66"),
}
"""Pieces of calibration and test, and a hash of them all, from before there were training parts."""


@pytest.mark.data
@pytest.mark.parametrize("domain", PASSAGES)
def test_the_halves_stay_as_they_are(domain: str):
    digest = hashlib.sha256()
    parts = [passages(domain, "calibration"), passages(domain, "test")]
    for piece in (*parts[0], *parts[1]):
        digest.update(piece.encode())
    assert (len(parts[0]), len(parts[1]), digest.hexdigest()[:16]) == PASSAGES[domain]
