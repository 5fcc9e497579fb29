"""Mutated heads of weight files: refused with the reason, or every tensor is what the file says; none is drawn anew."""

import random
import struct
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import Tensor

from .draws import SilentlyWrongError, Tally, number
from .mutations import change_bytes

VIT = "test_vit"
"""The smallest vision transformer of timm."""


def head_length(content: bytes) -> int:
    """Bytes of a safetensors file before its data."""
    return 8 + struct.unpack("<Q", content[:8])[0]


def mutate(file: Path, original: bytes, draw: int) -> None:
    """Change the head; every fifth time put NaN or infinity into the data instead."""
    chance = random.Random(draw)
    head = head_length(original)
    if draw % 5:
        file.write_bytes(change_bytes(original, chance, head))
        return
    at = head + 4 * chance.randrange((len(original) - head) // 4)
    bad = struct.pack("<f", chance.choice((float("nan"), float("inf"), float("-inf"))))
    file.write_bytes(original[:at] + bad + original[at + 4 :])


def compare(said: Mapping[str, Tensor], taken: Mapping[str, Tensor], apart: str) -> None:
    """All that was taken, but for names that begin with `apart`, is what an independent reader finds in the file."""
    for name, value in taken.items():
        if name.startswith(apart):
            continue
        if name not in said:
            raise SilentlyWrongError(f"{name} is not in the file, and has values")
        if value.shape != said[name].shape or not torch.equal(value.float(), said[name].float()):
            raise SilentlyWrongError(f"{name} is not what the file says")
        if not value.isfinite().all():
            raise SilentlyWrongError(f"{name} holds numbers that are not finite")


def test_weights_of_a_vision_network(tmp_path: Path, record_property: Callable) -> None:
    import timm

    from sparsebench.suites.vtab.backbones import timm as backbone

    torch.manual_seed(0)
    file = tmp_path / "w.safetensors"
    save_file({name: value.contiguous() for name, value in timm.create_model(VIT).state_dict().items()}, file)
    original = file.read_bytes()

    def load() -> None:
        body = backbone.load(torch.Generator().manual_seed(1), f"{VIT}@{file}")
        compare(load_file(file), body.network.state_dict(), apart="head.")

    tally = Tally("safetensors, vision network")
    load()
    for draw in range(number(40, 600)):
        mutate(file, original, draw)
        tally.judge(draw, load, (ValueError,))
    tally.check(record_property)


@pytest.fixture
def language_model(tmp_path: Path) -> Path:
    """A folder with a small Llama and a tokenizer."""
    from tokenizers import Tokenizer, models
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    torch.manual_seed(0)
    sizes = {"vocab_size": 50, "hidden_size": 16, "intermediate_size": 24, "num_hidden_layers": 2}
    LlamaForCausalLM(LlamaConfig(**sizes, num_attention_heads=4, num_key_value_heads=2)).save_pretrained(tmp_path)
    vocabulary = Tokenizer(models.WordLevel({"a": 0, "b": 1}, unk_token="a"))
    PreTrainedTokenizerFast(tokenizer_object=vocabulary, unk_token="a").save_pretrained(tmp_path)
    return tmp_path


def load_language_model(folder: Path) -> None:
    from sparsebench.suites.llm.backbones import hf

    model = hf.load(torch.Generator(), str(folder)).model
    compare(load_file(folder / "model.safetensors"), model.state_dict(), apart="nothing is apart")


@pytest.mark.parametrize("what", ["safetensors", "configurations"])
def test_a_language_model(what: str, language_model: Path, record_property: Callable) -> None:
    """Whatever the configuration says, a model is the one that the weights fit, or none."""
    file = language_model / {"safetensors": "model.safetensors", "configurations": "config.json"}[what]
    original = file.read_bytes()
    load = partial(load_language_model, language_model)
    tally = Tally(f"{what}, language model")
    load()
    for draw in range(number(25, 300)):
        if what == "safetensors":
            mutate(file, original, draw)
        else:
            file.write_bytes(change_bytes(original, random.Random(draw)))
        tally.judge(draw, load, (ValueError,))
    tally.check(record_property)
