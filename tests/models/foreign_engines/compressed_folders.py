"""Compressed models as stock folders, with a tokenizer: what other engines are given."""

from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from sparsebench.models.calibration.mixture_statistics import mixture_statistics
from sparsebench.models.compression.slimming.pruning import PruningConfig, prune
from sparsebench.models.compression.trimming.experts.drop import expert_drop
from sparsebench.models.moe import MoEConfig, convert, export
from sparsebench.suites.llm.backbones import small_llama, small_mixture
from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer

TEXT = "def test_the_sum(values):\n    total = 0\n    for value in values:\n        total += value\n    return total\n"


def tokens(text: str = TEXT) -> Tensor:
    return torch.tensor([byte_tokenizer()(text)["input_ids"]])


def dropped(keep: float = 0.75) -> Any:
    """The small trained Mixtral with a part of its experts, equally many in each layer."""
    model: Any = small_mixture.load(torch.Generator()).model.float().eval()
    expert_drop(model, mixture_statistics(model, [{"input_ids": tokens()}]), keep, score="reap")
    return model


def pruned() -> Any:
    """The small trained Mixtral, half of the weights of its experts 0."""
    model: Any = small_mixture.load(torch.Generator()).model.float().eval()
    prune(model, PruningConfig(method="wanda", pattern="2:4"), [{"input_ids": tokens()}])
    return model


def cut_and_dropped(folder: Path) -> Any:
    """The small Llama as a mixture, exported as a stock one, opened again, and dropped to half of its experts."""
    from transformers import AutoModelForCausalLM

    dense: Any = small_llama.load(torch.Generator()).model
    assert export(convert(dense, MoEConfig(num_experts=8, top_k=2)), folder) == "MixtralForCausalLM"
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    expert_drop(model, mixture_statistics(model, [{"input_ids": tokens()}]), 0.5)
    return model


def write(model: Any, folder: Path) -> Path:
    """As a user would: the model and its tokenizer."""
    model.save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder
