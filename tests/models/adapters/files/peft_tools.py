"""A model of PEFT with noise in what it trains, beside ours, through files in both directions."""

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import peft
import torch
import transformers
from torch import Tensor, nn

from sparsebench.models.adapters import AdapterSet, load_peft, save_peft

from ..conftest import noise


class Pair(NamedTuple):
    """Their model and ours with the same adapters, and our set."""

    theirs: Any
    ours: Any
    adapters: AdapterSet


def gpt2() -> nn.Module:
    """A tiny GPT-2: its matrices lie (in, out), its positions are learned."""
    torch.manual_seed(0)
    config = transformers.GPT2Config(n_embd=32, n_layer=2, n_head=4, vocab_size=64, n_positions=40)
    return transformers.GPT2LMHeadModel(config).eval()


def theirs(model: nn.Module, config: Any, folder: Path) -> Any:
    """Wrapped, with noise in what trains, and saved."""
    wrapped = peft.get_peft_model(model, config).eval()
    noise(parameter for parameter in wrapped.parameters() if parameter.requires_grad)
    wrapped.save_pretrained(folder)
    return wrapped


def read(build: Callable[[], nn.Module], config: Any, folder: Path) -> Pair:
    """Theirs, and what we make of its file."""
    wrapped = theirs(build(), config, folder)
    model = build()
    return Pair(wrapped, model, load_peft(model, folder))


def written(adapters: AdapterSet, plain: nn.Module, folder: Path) -> Any:
    """What PEFT makes of our file."""
    save_peft(adapters, folder)
    return peft.PeftModel.from_pretrained(plain, folder, is_trainable=False).eval()


def gradients(model: nn.Module, batch: Tensor, pattern: str) -> list[Tensor]:
    """Those of the parameters whose names have a part that matches, by size and then sum, as names differ."""
    model = copy.deepcopy(model)
    for name, parameter in model.named_parameters():
        parameter.requires_grad_(re.search(pattern, name) is not None)
    model(batch).logits.square().mean().backward()
    found = [parameter.grad.flatten() for parameter in model.parameters() if parameter.grad is not None]
    return sorted(found, key=lambda grad: (len(grad), grad.sum().item()))


def logits(model: nn.Module, batch: Tensor) -> Tensor:
    """Without a gradient."""
    with torch.no_grad():
        return model(batch).logits
