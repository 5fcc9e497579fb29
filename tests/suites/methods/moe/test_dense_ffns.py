"""Which models a method may cut or make smaller."""

from typing import Any

import pytest
import torch
from torch import nn
from transformers import MixtralConfig, MixtralForCausalLM

from sparsebench.suites.contracts.method import NotApplicable
from sparsebench.suites.llm.backbones import tiny
from sparsebench.suites.methods.moe._dense_ffns import check_has_ffn


def mixtral() -> nn.Module:
    sizes: dict[str, Any] = {"hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}
    return MixtralForCausalLM(MixtralConfig(vocab_size=8, num_key_value_heads=2, num_local_experts=2, **sizes))


def test_dense_layers_may_be_cut() -> None:
    check_has_ffn(tiny.load(torch.Generator().manual_seed(0)).model)


def test_others_are_not_applicable_and_say_why() -> None:
    with pytest.raises(NotApplicable, match="MixtralForCausalLM is a mixture of experts already"):
        check_has_ffn(mixtral())
    with pytest.raises(NotApplicable, match="no describer knows"):
        check_has_ffn(nn.Linear(2, 2))
