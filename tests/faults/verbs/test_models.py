"""`convert`, `compress`, `export`, `import`: models that are none, text that is none, places that cannot be written."""

import json
from collections.abc import Callable
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from .catalogue import Case, copied, cut, edited, replaced

SMALL = "--calibration {text} --documents 3 --windows 2"


def damaged(
    damage: str, says: str, *changes: Callable[[Path], object], line: str = "compress dense out --bits 4"
) -> Case:
    return Case(damage, f"{line} {SMALL}", says, make=copied("dense", *changes))


def not_finite(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors = load_file(copy / "model.safetensors")
    next(iter(tensors.values())).view(-1)[0] = float("nan")
    save_file(tensors, copy / "model.safetensors", {"format": "pt"})


def only_pickled(copy: Path) -> None:
    """Weights that nobody can read without running what is in them."""
    import torch

    (copy / "model.safetensors").unlink()
    torch.save({}, copy / "pytorch_model.bin")


def more_tokens(copy: Path) -> None:
    """A tokenizer with words of which the model has no embeddings."""
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(copy)
    tokenizer.add_tokens(["".join(pair) for pair in product("aeinorst", repeat=2)])
    tokenizer.save_pretrained(copy)


def uneven_heads(copy: Path) -> None:
    """Three heads that share the keys of two: the class takes such a configuration, and its product fails."""
    from transformers import LlamaConfig, LlamaForCausalLM

    sizes = {"hidden_size": 48, "num_attention_heads": 3, "num_key_value_heads": 2, "head_dim": 16}
    config: Any = LlamaConfig.from_pretrained(copy, **sizes)
    LlamaForCausalLM(config).save_pretrained(copy)


INDEX = json.dumps({"metadata": {}, "weight_map": {"model.norm.weight": "model-00001-of-00002.safetensors"}})
MODELS = [
    Case("no such folder", f"compress nowhere out --bits 4 {SMALL}", "there is no folder nowhere"),
    Case("a folder misspelt", f"compress dnese out --bits 4 {SMALL}", "did you mean dense", make=copied("dense")),
    Case(
        "a file for a folder",
        f"export model.gguf out {SMALL.split(' --windows')[0].replace('calibration', 'held-out')}",
        "model.gguf is a file, not the folder of a model",
        {"model.gguf": b"GGUF"},
    ),
    Case(
        "a folder misspelt, below another",
        f"compress models/dnese out --bits 4 {SMALL}",
        "there is no folder models/dnese; did you mean models/dense",
        {"models/dense": None},
    ),
    Case("a model of the hub, offline", f"convert nobody/nothing out --experts 4 {SMALL}", "SPARSEBENCH_OFFLINE"),
    Case("a folder of nothing", f"compress empty out --bits 4 {SMALL}", "empty has no config.json", {"empty": None}),
    damaged("a configuration cut off", "config.json is damaged", cut("config.json", 30)),
    damaged("a configuration that is a list", "config.json is damaged", replaced("config.json", "[]")),
    damaged("a configuration that is a number", "config.json is damaged", replaced("config.json", "3")),
    damaged("architectures that are a number", "config.json", edited("config.json", architectures=3)),
    damaged("an encoder", "is BertForMaskedLM, no causal", edited("config.json", architectures=["BertForMaskedLM"])),
    damaged(
        "a model of images",
        "is ViTForImageClassification, no causal",
        edited("config.json", architectures=["ViTForImageClassification"], model_type="vit"),
    ),
    damaged(
        "an encoder and decoder",
        "no causal language model",
        edited("config.json", architectures=["T5ForConditionalGeneration"]),
    ),
    damaged("no class", "no class by its config.json", edited("config.json", architectures=None)),
    damaged(
        "a type that nobody knows",
        "dense",
        edited("config.json", model_type="nosuch", architectures=["NoSuchForCausalLM"]),
    ),
    damaged(
        "code of its own",
        "dense",
        edited("config.json", model_type="nosuch", auto_map={"AutoModelForCausalLM": "code.Model"}),
    ),
    damaged("a layer too many in the configuration", "tensors are missing", edited("config.json", num_hidden_layers=3)),
    damaged("a layer too few in the configuration", "tensors are unknown", edited("config.json", num_hidden_layers=1)),
    damaged("weights of another width", "dense", edited("config.json", intermediate_size=64)),
    damaged("heads that do not divide the width", "dense", edited("config.json", num_attention_heads=3)),
    damaged("heads that do not divide by those of keys", "dense opens but does not run: RuntimeError: ", uneven_heads),
    damaged("a width of half a number", "dense", edited("config.json", hidden_size=32.5)),
    damaged("an activation that there is not", "dense", edited("config.json", hidden_act="nosuch")),
    damaged("no weights", "dense", replaced("model.safetensors", None)),
    damaged("weights cut off", "dense", cut("model.safetensors", 5000)),
    damaged("a web page for weights", "dense", replaced("model.safetensors", "<!doctype html>")),
    damaged("weights that are no numbers", "dense", not_finite),
    damaged("pickled weights", "has its weights in pytorch_model.bin, a pickle; only safetensors", only_pickled),
    damaged(
        "a part that is missing",
        "dense has no model-00001-of-00002.safetensors, which model.safetensors.index.json names",
        replaced("model.safetensors", None),
        replaced("model.safetensors.index.json", INDEX),
    ),
    damaged(
        "an index of no files",
        "model.safetensors.index.json is damaged: it has no weight_map from tensors to files",
        replaced("model.safetensors", None),
        replaced("model.safetensors.index.json", '{"weight_map": {"model.norm.weight": 3}}'),
    ),
    damaged(
        "an index that leads elsewhere",
        "names '../other.safetensors', which is no file of its folder",
        replaced("model.safetensors", None),
        replaced("model.safetensors.index.json", '{"weight_map": {"model.norm.weight": "../other.safetensors"}}'),
    ),
    damaged(
        "no tokenizer",
        "dense has no tokenizer: copy the one of the model there",
        replaced("tokenizer.json", None),
        replaced("tokenizer_config.json", None),
    ),
    damaged("a tokenizer of another model", "embeddings of", more_tokens),
    damaged("a tokenizer cut off", "dense", cut("tokenizer.json", 100)),
    Case(
        "a recipe of ours cut off",
        f"compress mixture out --bits 4 {SMALL}",
        "mixture",
        make=copied("mixture", cut("config.json", 200)),
    ),
    Case(
        "weights of ours cut off",
        f"compress mixture out --bits 4 {SMALL}",
        "mixture",
        make=copied("mixture", cut("model.safetensors", 500)),
    ),
    Case(
        "a part that nobody knows",
        f"compress mixture out --bits 4 {SMALL}",
        "mixture",
        make=copied("mixture", edited("config.json", sparsebench={"source": {}, "parts": {"nosuch": {}}})),
    ),
]
TEXT = [
    Case("no text", "compress {dense} out --bits 4 --calibration nowhere.txt", "there is no file nowhere.txt"),
    Case(
        "a file misspelt",
        "compress {dense} out --bits 4 --calibration onw.txt",
        "did you mean own.txt",
        {"own.txt": "x"},
    ),
    Case(
        "a PDF",
        "compress {dense} out --bits 4 --calibration own.pdf",
        "own.pdf has none of the endings",
        {"own.pdf": b"%PDF"},
    ),
    Case("an empty text", "compress {dense} out --bits 4 --calibration own.txt", "own.txt", {"own.txt": ""}),
    Case(
        "text that is no UTF-8",
        "compress {dense} out --bits 4 --calibration own.txt",
        "own.txt",
        {"own.txt": b"\xff\xfe\x00"},
    ),
    Case(
        "a broken line",
        "compress {dense} out --bits 4 --calibration own.jsonl",
        "own.jsonl",
        {"own.jsonl": '{"text": "a"}\n{"text"\n'},
    ),
    Case(
        "lines without text",
        "compress {dense} out --bits 4 --calibration own.jsonl",
        "own.jsonl",
        {"own.jsonl": '{"words": "a"}\n'},
    ),
    Case(
        "text that is a number",
        "compress {dense} out --bits 4 --calibration own.jsonl",
        "own.jsonl",
        {"own.jsonl": '{"text": 3}\n'},
    ),
    Case(
        "no Parquet", "compress {dense} out --bits 4 --calibration own.parquet", "own.parquet", {"own.parquet": b"PAR1"}
    ),
    Case(
        "nothing to hold out",
        "compress {dense} out --bits 4 --calibration own.jsonl",
        "own.jsonl has 2 documents",
        {"own.jsonl": '{"text": "a"}\n{"text": "b"}\n'},
    ),
    Case(
        "the same text twice",
        "compress {dense} out --bits 4 --calibration {text} --held-out {text} --documents 30",
        "all calibration text has runs of 13 words in common",
    ),
    Case(
        "less than a window",
        "compress {dense} out --sparsity 0.5 --calibration own.jsonl --held-out {text}",
        "the calibration text has fewer than",
        {"own.jsonl": '{"text": "a"}\n'},
    ),
    Case("one document", "export {dense} out --documents 1", "documents=1 must be 2 or more"),
    Case("no windows", "compress {dense} out --bits 4 --windows 0", "windows=0 of calibration text"),
]
PLACES = [
    Case(
        "a folder that is not empty",
        "convert {dense} full --experts 4",
        "full exists and is not an empty folder",
        {"full/file": ""},
    ),
    Case(
        "a file for the folder", "compress {dense} out --bits 4", "out exists and is not an empty folder", {"out": ""}
    ),
    Case("a folder below a file", "export {dense} file/out", "file/out cannot be made", {"file": ""}),
    Case("a place that is full", "import {layout} full", "full exists and is not an empty folder", {"full/file": ""}),
    Case(
        "the model itself",
        "compress dense dense --bits 4",
        "dense exists and is not an empty folder",
        make=copied("dense"),
    ),
    Case(
        "a device that there is not",
        f"compress {{dense}} out --bits 4 --device cpux {SMALL}",
        "device='cpux' is not there",
    ),
]
EXPORTS = [
    Case("another engine", "export {mixture} out --engine ollama", "engine='ollama' is not one of transformers"),
    Case("another architecture", "export {mixture} out --to mixtrall --held-out {text}", "mixtral"),
    Case("a stock model to another", "export {dense} out --to mixtral --held-out {text}", "is a stock model already"),
    Case("a seed of words", "compress {dense} out --bits 4 --seed one", "--seed"),
    Case("a seed below zero", "convert {dense} out --experts 4 --seed -1", "--seed"),
]


def layout(damage: str, says: str, *changes: Callable[[Path], object]) -> Case:
    return Case(damage, "import layout out", says, make=copied("layout", *changes))


def without_a_tensor(copy: Path) -> None:
    from safetensors.torch import load_file, save_file

    tensors: dict[str, Any] = load_file(copy / "model.safetensors")
    del tensors[min(tensors)]
    save_file(tensors, copy / "model.safetensors")


def with_a_tensor(copy: Path) -> None:
    import torch
    from safetensors.torch import load_file, save_file

    save_file(load_file(copy / "model.safetensors") | {"model.more": torch.zeros(2)}, copy / "model.safetensors")


IMPORTS = [
    Case("no checkpoint", "import ./no/such/folder out", "no name of a model on the hub"),
    Case("a checkpoint of nothing", "import empty out", "empty", {"empty": None}),
    Case("another layout", "import {layout} out --layout llama_moe_v3", "llama_moe_v3"),
    Case("a text for a checkpoint", "import notes.txt out", "notes.txt", {"notes.txt": "x"}),
    Case("a broken archive", "import model.pt out", "model.pt", {"model.pt": b"PK\x03\x04 no archive"}),
    Case("a stock model for a layout", "import {dense} out", "dense"),
    layout("a checkpoint without a configuration", "layout", replaced("config.json", None)),
    layout("a configuration of a checkpoint cut off", "config.json", cut("config.json", 20)),
    layout("a checkpoint with a tensor less", "has no tensor", without_a_tensor),
    layout("a checkpoint with a tensor more", "have no place in the model", with_a_tensor),
    layout("a checkpoint cut off", "model.safetensors", cut("model.safetensors", 1000)),
    layout("a checkpoint of another width", "was expected", edited("config.json", hidden_size=24)),
]
CASES = [*MODELS, *TEXT, *PLACES, *EXPORTS, *IMPORTS]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_models_that_are_none(case: Case, refused: Callable[[Case], None]) -> None:
    refused(case)
