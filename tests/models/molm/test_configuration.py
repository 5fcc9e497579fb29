"""Configurations that cannot work are refused where they are made."""

from typing import Any

import pytest

from sparsebench.models.errors import ModelError
from sparsebench.models.molm import MoLMConfig

WRONG: dict[str, tuple[dict[str, Any], str]] = {
    "router": ({"router": "gmm"}, "router"),
    "balance": ({"balance": "mi"}, "balance"),
    "heads": ({"attention_size": 510}, "attention_size=510 is no multiple of num_attention_heads=8"),
    "experts": ({"num_experts_per_tok": 33}, r"num_experts_per_tok=33 must lie in 1\.\.32"),
    "attention experts": ({"num_attention_experts_per_tok": 0}, r"num_attention_experts_per_tok=0 must lie in 1\.\.32"),
    "tied": ({"tie_word_embeddings": True}, "weights of its own"),
}


def test_refused(subtests: pytest.Subtests) -> None:
    for name, (fields, message) in WRONG.items():
        with subtests.test(name), pytest.raises(ModelError, match=message):
            MoLMConfig(**fields)
