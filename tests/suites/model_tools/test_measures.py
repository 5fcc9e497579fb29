"""Bits of text by hand, intervals over documents, and a clock."""

import math
from types import SimpleNamespace

import pytest
import torch
from torch import Tensor, nn

from sparsebench.models.errors import ModelError
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.model_tools.measures import Loss, loss, paired, rows_of, speeds
from sparsebench.suites.model_tools.texts import HeldOut

from .conftest import tiny_llama

TEXTS = [
    HeldOut("a", "1", "naïve café"),
    HeldOut("a", "2", "x" * 100),
    HeldOut("b", "1", "one"),
    HeldOut("b", "2", "two"),
]


class Even(nn.Module):
    """All 257 tokens are equally likely, but for those in `known`, which are certain where they come next."""

    def __init__(self, scale: float = 0.0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.tensor(scale))
        self.config = SimpleNamespace(max_position_embeddings=64)

    def get_input_embeddings(self) -> nn.Embedding:
        return nn.Embedding(257, 1)

    def forward(self, input_ids: Tensor, use_cache: bool) -> SimpleNamespace:
        logits = torch.zeros(*input_ids.shape, 257)
        logits[:, :-1] += self.scale * nn.functional.one_hot(input_ids[:, 1:], 257)
        return SimpleNamespace(logits=logits)


def test_every_byte_counts() -> None:
    model = Even()
    rows = rows_of(TEXTS, byte_tokenizer(), model)
    assert [row.bytes for row in rows] == [12, 63, 3, 3]
    assert all(row.ids[0] == byte_tokenizer().bos_token_id and len(row.ids) == 1 + row.bytes for row in rows)
    found = loss(model, rows)
    assert found.bits == pytest.approx([row.bytes * math.log2(257) for row in rows], rel=1e-5)
    assert found.estimate.mean == pytest.approx(math.log2(257), rel=1e-5)


def test_the_difference_is_of_the_same_documents() -> None:
    rows = rows_of(TEXTS, byte_tokenizer(), Even())
    before = Loss(rows, tuple(5.0 * row.bytes * (1 + place) for place, row in enumerate(rows)))
    after = Loss(rows, tuple(bits - row.bytes for bits, row in zip(before.bits, rows, strict=True)))
    difference = paired(after, before)
    assert difference.estimate.mean == pytest.approx(1.0) and difference.outcome == "better"
    half = before.estimate.half_width
    assert half is not None and half > 1  # documents differ by much more than the models do


def test_mistakes() -> None:
    with pytest.raises(ModelError, match="fewer than two"):
        rows_of([TEXTS[0], HeldOut("a", "3", "")], byte_tokenizer(), Even())
    with pytest.raises(ModelError, match="NaN or infinite"):
        loss(Even(math.nan), rows_of(TEXTS, byte_tokenizer(), Even()))


def test_the_clock(short_rounds: None) -> None:
    found = speeds([tiny_llama(), tiny_llama()], list(range(20)))
    assert len(found) == 2 and all(one.read > 0 and one.written > 0 for one in found)
