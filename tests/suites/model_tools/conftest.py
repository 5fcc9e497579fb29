"""A tiny language model in a folder, text of one's own in a file, and a model on its way."""

import json
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.suites.llm.small_models.byte_tokenizer import byte_tokenizer
from sparsebench.suites.model_tools import measures
from sparsebench.suites.model_tools._work import Work
from sparsebench.suites.model_tools.texts import read_texts


def tiny_llama() -> Any:
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = byte_tokenizer()
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=32,
        intermediate_size=128,
        num_hidden_layers=2,
        num_attention_heads=2,
        num_key_value_heads=2,
        max_position_embeddings=64,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return LlamaForCausalLM(config).eval()


@pytest.fixture(scope="session")
def dense(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tiny Llama and its tokenizer."""
    folder = tmp_path_factory.mktemp("models") / "dense"
    tiny_llama().save_pretrained(folder)
    byte_tokenizer().save_pretrained(folder)
    return folder


@pytest.fixture(scope="session")
def text(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file of 30 documents of random words, which have no 13 words in a row in common."""
    file = tmp_path_factory.mktemp("text") / "own.jsonl"
    draw = random.Random(0)
    words = ["".join(draw.choices("abcdefghij", k=5)) for _ in range(200)]
    documents = [" ".join(draw.choices(words, k=40)) for _ in range(30)]
    file.write_text("".join(json.dumps({"text": document}) + "\n" for document in documents))
    return file


@pytest.fixture
def work(text: Path) -> Callable[..., Work]:
    """Makes a tiny model on its way, that of a configuration if it is to be a mixture."""

    def make(config: Any = None) -> Work:
        from sparsebench.models.moe import convert

        model = tiny_llama()
        if config is not None:
            convert(model, config)
        return Work(
            model=model.eval(), tokenizer=byte_tokenizer(), texts=read_texts(text), windows=4, say=lambda line: None
        )

    return make


@pytest.fixture
def short_rounds(monkeypatch: pytest.MonkeyPatch) -> None:
    """The clock looks once, at two tokens."""
    monkeypatch.setattr(measures, "ROUNDS", 1)
    monkeypatch.setattr(measures, "NEW", 2)
