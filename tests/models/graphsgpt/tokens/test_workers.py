"""A pool of tokenisers gives what one process gives, lives on, and reads no further than it must."""

import os
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.graphsgpt.tokens.store import build_store
from sparsebench.models.graphsgpt.tokens.tokenizer import CHUNK, Tokenizer
from sparsebench.models.graphsgpt.tokens.vocabulary import Vocabulary
from sparsebench.models.graphsgpt.tokens.workers import TokenizerPool

TOKENIZER = Tokenizer(Vocabulary.improved())
MIXED = ["CCO", None, "[Na+].[Cl-]", "C1CC", "[2H]O", "c1cc[nH]c1"]


def test_the_pool_lives_on_and_gives_what_one_process_gives(tmp_path: Path):
    many = MIXED * 200
    with TokenizerPool(TOKENIZER.vocabulary, workers=2) as pool:
        first, second = pool(many), pool(MIXED)
        wanted = TOKENIZER(many)
        assert np.array_equal(first.rows, wanted.rows) and first.reasons == wanted.reasons
        assert np.array_equal(second.rows, TOKENIZER(MIXED).rows)
        store = build_store(tmp_path / "store", iter(many), pool)
        assert np.array_equal(store.rows, wanted.rows) and np.array_equal(store.status, wanted.status)
        processes = set(pool._pool._processes)
        pool(["C"])
        assert set(pool._pool._processes) == processes
        assert os.getpid() not in processes and 1 <= len(processes) <= 2
    with pytest.raises(ModelError, match="workers=0"):
        TokenizerPool(TOKENIZER.vocabulary, workers=0)


def test_the_pool_reads_no_further_than_it_must():
    taken = 0

    def source() -> Iterator[str]:
        nonlocal taken
        while True:
            taken += 1
            yield "CCO"

    with TokenizerPool(TOKENIZER.vocabulary, workers=1) as pool:
        stream = pool.stream(source())
        assert len(next(stream)) == CHUNK
        assert taken <= 5 * CHUNK
        stream.close()
