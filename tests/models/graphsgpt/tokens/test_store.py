import json
import pickle
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.batch import collate
from sparsebench.models.graphsgpt.tokens.store import TokenStore, build_store, open_store
from sparsebench.models.graphsgpt.tokens.tokenizer import CHUNK, Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.length_batches import length_batches

TOKENIZER = Tokenizer(Vocabulary.improved())
MIXED = ["CCO", None, "[Na+].[Cl-]", "C1CC", "[2H]O", "c1cc[nH]c1"]


@pytest.fixture
def store(tmp_path: Path) -> TokenStore:
    return build_store(tmp_path / "store", MIXED, TOKENIZER)


def test_store_holds_the_tokens_and_keeps_every_row(store: TokenStore):
    wanted = TOKENIZER(MIXED)
    assert len(store) == len(MIXED) and store.ok.tolist() == [0, 2, 5]
    assert isinstance(store.rows.base, np.memmap) and not store.rows.flags.writeable
    assert store.vocabulary == TOKENIZER.vocabulary and store.lengths.tolist() == wanted.lengths.tolist()
    assert all(np.array_equal(store[index], wanted[index]) for index in range(len(MIXED)))
    with pytest.raises(IndexError):
        store[len(MIXED)]


def test_failures_have_row_status_and_reason(store: TokenStore):
    found = [(failure["row"], failure["status"]) for failure in store.failures()]
    assert found == [(1, "NOT_A_MOLECULE"), (3, "INVALID"), (4, "ISOTOPE")]
    assert "C1CC" in store.failures()[1]["reason"]


def test_batch_equals_collate(store: TokenStore):
    chosen = [5, 1, 0, 2, 2]
    found, wanted = store.batch(chosen), collate([store[index] for index in chosen])
    assert all(torch.equal(vars(found)[name], tensor) for name, tensor in vars(wanted).items())
    with pytest.raises(IndexError):
        store.batch([0, -1])


def test_open_again_and_in_another_process(store: TokenStore):
    for copy in (open_store(store.folder, verify=True), pickle.loads(pickle.dumps(store))):
        assert np.array_equal(copy.rows, store.rows) and copy.vocabulary == store.vocabulary
    assert len(pickle.dumps(store)) < 1000


def test_damage_is_found(store: TokenStore):
    rows = store.folder / "rows.i16"
    content = rows.read_bytes()
    rows.write_bytes(bytes([content[0] ^ 1]) + content[1:])
    open_store(store.folder)
    with pytest.raises(ModelError, match=r"rows\.i16 does not have the sha256"):
        open_store(store.folder, verify=True)
    rows.write_bytes(content[:-2])
    with pytest.raises(ModelError, match="bytes instead of"):
        open_store(store.folder)
    meta = store.folder / "store.json"
    meta.write_text(json.dumps(json.loads(meta.read_text()) | {"format": 99}))
    with pytest.raises(ModelError, match="has format 99"):
        open_store(store.folder)


def test_no_store_and_one_too_many(store: TokenStore, tmp_path: Path):
    with pytest.raises(ModelError, match="holds no token store"):
        open_store(tmp_path / "nothing")
    with pytest.raises(ModelError, match="exists: open it"):
        build_store(store.folder, MIXED, TOKENIZER)


def test_nothing_stays_when_the_source_breaks(tmp_path: Path):
    def broken() -> Iterator[str]:
        yield from ["C"] * 2 * CHUNK
        raise OSError("the disk went away")

    with pytest.raises(OSError, match="went away"):
        build_store(tmp_path / "store", broken(), TOKENIZER)
    assert list(tmp_path.iterdir()) == []


def test_empty_store(tmp_path: Path):
    store = build_store(tmp_path / "deep" / "store", [], TOKENIZER)
    assert len(store) == 0 and store.batch([]).tokens.shape == (0, 0) and length_batches(store.lengths, 4) == []
