import pytest

from sparsebench.data.errors import UnknownSource
from sparsebench.data.text import documents as documents_module
from sparsebench.data.text import domains
from sparsebench.data.text.documents import documents, passages


def test_unknown_domain_and_part():
    with pytest.raises(UnknownSource, match="unknown text domain 'maths'; did you mean mathematics"):
        domains.source_of("maths")
    with pytest.raises(UnknownSource, match="unknown part 'tets'; did you mean test"):
        documents("law", "tets")  # type: ignore[arg-type]


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch):
    """A domain of 200 groups, each with two documents, and one document that many groups share."""

    def read():
        for group in range(200):
            yield str(group), f"first of {group}\n\nmore"
            yield str(group), f"second of {group}"
            yield str(group), " shared "

    monkeypatch.setitem(domains.READERS, "pets", ("demo", read))
    yield "pets"
    documents_module._halves.cache_clear()


def test_halves_are_disjoint_by_group_and_unique(pets: str):
    calibration, test = documents(pets, "calibration"), documents(pets, "test")
    assert len(calibration) + len(test) == 401 == len({*calibration, *test})
    assert 120 < len(test) < 280
    groups = [{document.split("\n")[0].rpartition(" ")[2] for document in part} for part in (calibration, test)]
    assert not (groups[0] & groups[1]) - {"shared"}
    assert test == documents(pets, "test")


def test_passages_cover_the_half(pets: str):
    pieces = passages(pets, "test", characters=8)
    assert {"more"} | {line for document in documents(pets, "test") for line in document.split("\n\n")} == set(pieces)
    assert all(len(piece) > 8 or "\n" not in piece for piece in pieces)


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
