"""The small Llama of the first halves, and that what is called unseen lies behind what it was trained on."""

from pathlib import Path

import pytest
import torch

from sparsebench.data.text.halves import pieces
from sparsebench.suites.llm.backbones import half_llama as backbone
from sparsebench.suites.llm.bits_per_byte.task import window_bits
from sparsebench.suites.llm.language.task import SEPARATOR, encode
from sparsebench.suites.llm.small_models import half_llama, llama
from sparsebench.suites.llm.small_models.from_scratch import first_halves
from sparsebench.suites.llm.tasks.pretraining_second_halves import PretrainingSecondHalves

TEXT = "The President shall, at stated times, receive for his services a compensation. "
DOCUMENTS = [f"{name} naïve\n\n{name * 40}" for name in "abcdefghijklmnopqrstu"]
"""Of equal size, so that the first half ends in the eleventh of 21."""
REPEATED = pieces(DOCUMENTS[:1], 50)[0]


@pytest.fixture
def domain(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> str:
    """A domain of this test's own; a piece is forbidden, that of "p", and one of a seen document comes again."""
    known = [*DOCUMENTS[:-2], f"{DOCUMENTS[-2]}\n\n{REPEATED}", DOCUMENTS[-1]]
    monkeypatch.setattr(half_llama, "CHARACTERS", 50)
    monkeypatch.setattr(half_llama, "documents", lambda domain, part: known)
    cut = pieces(known, 50)
    parts = {
        "train": [piece for piece in cut if piece[0] not in "pq"],
        "val": [piece for piece in cut if piece[0] == "q"],
    }
    monkeypatch.setattr(half_llama, "passages", lambda domain, part, characters: parts[part])
    monkeypatch.setattr(llama, "documents", half_llama.documents)
    monkeypatch.setattr(llama, "DOMAINS", ("invented",))
    return request.node.name


def test_the_published_weights_have_learnt_english() -> None:
    lm = backbone.load(torch.Generator())
    ids = torch.tensor([encode(lm.tokenizer, TEXT)])
    assert window_bits(lm.model.float(), ids, 1)[0] / len(TEXT) < 3.5  # a uniform guess needs 8
    assert (llama.WEIGHTS / "half_llama.safetensors").stat().st_size < 2**21
    with pytest.raises(ValueError, match="random weights are small_llama:scratch"):
        backbone.load(torch.Generator(), "scratch")


def test_no_unseen_document_begins_in_the_first_half(domain: str) -> None:
    """The bytes are those of the script's own streams."""
    (ids,) = first_halves(llama.streams()[0])
    known = half_llama.documents(domain, "calibration")
    unseen = {piece for part in ("train", "val") for piece in half_llama.unseen(domain, part)}  # type: ignore[arg-type]
    begin = 0
    for text in known:
        if begin < len(ids):
            assert not unseen & set(pieces([text], 50)), text
        begin += len((text + SEPARATOR).encode())
    assert begin - len(SEPARATOR) > 2 * len(ids)
    assert len(ids) == len(SEPARATOR.join(known).encode()) * 0.98 // 2


def test_the_last_tenth_validates_and_nothing_forbidden_or_seen_is_in_either(domain: str) -> None:
    assert {piece[0] for piece in half_llama.unseen(domain, "val")} == set("u")
    assert {piece[0] for piece in half_llama.unseen(domain, "train")} == set("lmnoqrst")


def test_the_task_trains_on_what_is_unseen_and_scores_what_others_score(monkeypatch: pytest.MonkeyPatch) -> None:
    task = PretrainingSecondHalves()
    monkeypatch.setattr(PretrainingSecondHalves, "documents", lambda task, domain, part: (domain, part))
    where = "sparsebench.suites.llm.tasks.pretraining_second_halves.unseen"
    monkeypatch.setattr(where, lambda domain, part: ("unseen", domain, part))
    assert task.training_text("law", "val") == ("unseen", "law", "val")
    assert task.documents("law", "test") == ("law", "test")


def test_the_script_goes_by_the_recipe_of_the_small_llama(domain: str, tmp_path: Path, monkeypatch) -> None:
    seen = {}

    def train(domains, folder):
        seen["domains"] = domains
        folder.mkdir()
        return llama.small_llama()

    monkeypatch.setattr(llama, "train", train)
    monkeypatch.setattr(torch, "set_num_threads", lambda threads: None)
    monkeypatch.setattr(llama, "held_out_bits", lambda model, domains: {})
    out = tmp_path / "half_llama.safetensors"
    half_llama.main(out)
    (expected,) = first_halves(llama.streams()[0])
    assert torch.equal(seen["domains"][0], expected)
    assert out.exists() and not out.with_suffix(".training").exists()
