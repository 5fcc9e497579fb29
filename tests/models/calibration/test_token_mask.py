"""Every form in which blocks get their masks, read against the two-dimensional one."""

import pytest
import torch
from torch import Tensor, nn
from transformers import LlamaConfig, StaticCache
from transformers.models.bert.modeling_bert import BertLayer
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from sparsebench.models.calibration.token_mask import MaskReader, real_tokens
from sparsebench.models.errors import ModelError

REAL = torch.tensor([[0, 0, 1, 1, 1], [1, 1, 1, 1, 0]])  # padded on the left, and on the right
SEEN = REAL.bool()[:, None, None, :]
CAUSAL = SEEN & torch.ones(5, 5).tril().bool()
LOW = torch.finfo(torch.float32).min


def additive(seen: Tensor) -> Tensor:
    return torch.zeros(seen.shape).masked_fill(~seen, LOW)


FORMS = (
    REAL,
    REAL.bool(),
    REAL.float(),
    SEEN,
    SEEN.expand(2, 1, 5, 5),
    CAUSAL,
    CAUSAL.long(),
    additive(CAUSAL),
    additive(CAUSAL).bfloat16(),
    additive(CAUSAL).expand(2, 3, 5, 5),
    additive(SEEN) - 1.5,
)


@pytest.mark.parametrize("mask", FORMS)
def test_every_form(mask: Tensor) -> None:
    assert torch.equal(real_tokens(mask, 2, 5), REAL.bool())


def test_the_newest_tokens_are_the_last_slots() -> None:
    for mask in (REAL, SEEN, CAUSAL, additive(CAUSAL)):
        newest = mask[:, :, 3:] if mask.dim() == 4 and mask.shape[2] == 5 else mask
        assert torch.equal(real_tokens(newest, 2, 2), REAL[:, 3:].bool())


def test_one_row_for_all_and_packed_sequences() -> None:
    assert real_tokens(CAUSAL[:1], 3, 5).tolist() == [SEEN[0, 0, 0].tolist()] * 3
    packed = torch.block_diag(torch.ones(2, 2), torch.ones(3, 3)).tril().bool()[None, None]
    assert real_tokens(packed, 1, 5).all()


@pytest.mark.parametrize("mask", [REAL[:, :3], REAL[None], CAUSAL[:, :, :2], torch.ones(3, 5), "causal"])
def test_other_masks_are_refused(mask: object) -> None:
    with pytest.raises(ModelError, match=r"for 2 rows of 5 tokens: use \(batch, slots\)"):
        real_tokens(mask, 2, 5)


class Graph(nn.Module):
    def forward(self, x: Tensor, see: Tensor) -> Tensor:
        return x


def test_the_mask_of_a_call() -> None:
    x = torch.zeros(2, 5, 4)
    reader = MaskReader.of(Graph())
    assert reader == MaskReader("see", 1)
    assert torch.equal(reader((x, CAUSAL), {}), REAL.bool())
    for block in (LlamaDecoderLayer, BertLayer):
        assert MaskReader.of(block.__new__(block)).name == "attention_mask"
    reader = MaskReader.of(LlamaDecoderLayer.__new__(LlamaDecoderLayer))
    assert torch.equal(reader((), {"hidden_states": x, "attention_mask": CAUSAL}), REAL.bool())
    assert reader((x,), {}) is None and reader((x,), {"attention_mask": None}) is None
    assert MaskReader.of(nn.Linear(4, 4))((x,), {"attention_mask": REAL}) is None


def test_a_cache_of_fixed_length_is_refused() -> None:
    """Its masks end with slots that are not filled yet."""
    reader = MaskReader("attention_mask", 1)
    cache = StaticCache(LlamaConfig(num_hidden_layers=1), max_cache_len=8)
    with pytest.raises(ModelError, match="use a DynamicCache"):
        reader((torch.zeros(2, 5, 4), CAUSAL), {"cache": cache})
