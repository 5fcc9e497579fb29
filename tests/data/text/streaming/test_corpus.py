"""Domains together: shares, counts, one state, and the tokenizer of a real model."""

import itertools
import json
from pathlib import Path

import pytest

from sparsebench.data.errors import DryStreamError, UnknownSource
from sparsebench.data.text.documents import passages
from sparsebench.data.text.streaming.corpus import TextCorpus, count_tokens

from .conftest import lines_of


def drawn(corpus: TextCorpus, count: int) -> list[tuple[str, list[int]]]:
    return list(itertools.islice(corpus, count))


def test_every_domain_gets_its_share_at_all_times(texts: Path, tokenizer) -> None:
    corpus = TextCorpus(texts, tokenizer, length=3, weights={"first": 3, "second": 1}, repeat=True)
    names = [domain for domain, _ in drawn(corpus, 400)]
    for count in range(1, 401):
        assert abs(names[:count].count("second") - count / 4) < 1
    assert names.count("second") == 100


def test_equal_shares_by_default_and_none_for_weight_zero(texts: Path, tokenizer) -> None:
    names = [domain for domain, _ in drawn(TextCorpus(texts, tokenizer, 3, repeat=True), 6)]
    assert names == ["first", "second"] * 3
    only = TextCorpus(texts, tokenizer, 3, weights={"first": 0, "second": 2}, repeat=True)
    assert {domain for domain, _ in drawn(only, 9)} == {"second"}


def test_windows_of_one_domain(texts: Path, tokenizer) -> None:
    corpus = TextCorpus(texts, tokenizer, length=6, separator="")
    assert [bytes(window) for window in corpus.take("first", 2)] == [b"a0a1a2", b"a3a4a5"]
    assert corpus.domains == ("first", "second")
    assert corpus.counts()["first"].tokens == 12
    assert corpus.counts()["second"].tokens == 0


def test_one_state_for_all(texts: Path, tokenizer) -> None:
    at_once = TextCorpus(texts, tokenizer, length=5, weights={"first": 2, "second": 1}, repeat=True)
    whole = drawn(at_once, 60)
    for stop in (0, 1, 7, 31):
        first = TextCorpus(texts, tokenizer, length=5, weights={"first": 2, "second": 1}, repeat=True)
        before = drawn(first, stop)
        second = TextCorpus(texts, tokenizer, length=5, weights={"first": 2, "second": 1}, repeat=True)
        second.load_state_dict(json.loads(json.dumps(first.state_dict())))
        assert before + drawn(second, 60 - stop) == whole
        assert second.counts() == at_once.counts()


def test_a_state_of_other_shares_is_refused(texts: Path, tokenizer) -> None:
    state = TextCorpus(texts, tokenizer, 5).state_dict()
    with pytest.raises(ValueError, match="the state is of domains with the fractions"):
        TextCorpus(texts, tokenizer, 5, weights={"first": 1}).load_state_dict(state)


def test_weights_and_domains_are_checked(texts: Path, tokenizer) -> None:
    with pytest.raises(UnknownSource, match=r"no domain 'frist' in .*; did you mean first"):
        TextCorpus(texts, tokenizer, 5, weights={"frist": 1})
    with pytest.raises(ValueError, match="the weight of domain 'first' is -1"):
        TextCorpus(texts, tokenizer, 5, weights={"first": -1})
    with pytest.raises(ValueError, match="the weight of domain 'first' is nan"):
        TextCorpus(texts, tokenizer, 5, weights={"first": float("nan")})
    with pytest.raises(ValueError, match="the weights of all domains are 0"):
        TextCorpus(texts, tokenizer, 5, weights={"first": 0})
    with pytest.raises(UnknownSource, match="no domain 'third'"):
        TextCorpus(texts, tokenizer, 5).take("third")


def test_the_mixture_ends_where_a_domain_ends(texts: Path, tokenizer) -> None:
    with pytest.raises(DryStreamError, match="domain 'first' ran dry: 30 tokens read, 35 wanted"):
        drawn(TextCorpus(texts, tokenizer, 5, separator="|"), 99)


def test_counts_of_all_files(texts: Path, tokenizer) -> None:
    found = count_tokens(texts, tokenizer, separator="|")
    assert found["first"].documents == 11
    assert found["first"].tokens == 30
    assert found["second"].bytes == (texts / "second" / "only.txt").stat().st_size


@pytest.mark.data
def test_with_the_tokenizer_of_a_model(tmp_path: Path) -> None:
    from transformers import AutoTokenizer

    from sparsebench.data.weights import smollm2

    tokenizer = AutoTokenizer.from_pretrained(smollm2())
    written = {domain: passages(domain, "calibration")[:20] for domain in ("drama", "code")}
    for domain, documents in written.items():
        (tmp_path / domain).mkdir()
        (tmp_path / domain / "a.jsonl").write_text(lines_of(documents), encoding="utf-8")
    corpus = TextCorpus(tmp_path, tokenizer, length=64)
    decoded = {domain: "".join(map(tokenizer.decode, corpus.take(domain, 8))) for domain in written}
    for domain, documents in written.items():
        assert "\n\n".join(documents).startswith(decoded[domain].rstrip("�"))
        assert count_tokens(tmp_path, tokenizer)[domain].bytes == sum(len(text.encode()) for text in documents)
