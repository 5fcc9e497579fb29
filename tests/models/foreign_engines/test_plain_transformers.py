"""Compressed stock folders in a process without our package: the same logits and the same greedy text."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from ..agreement import agree
from .compressed_folders import cut_and_dropped, dropped, pruned, tokens, write
from .elsewhere import run_elsewhere

MODELS: dict[str, Callable[[Path], Any]] = {
    "three quarters of the experts": lambda folder: dropped(0.75),
    "one expert": lambda folder: dropped(0.125),
    "half of the weights 0": lambda folder: pruned(),
    "cut from a dense model, half of the experts": lambda folder: cut_and_dropped(folder / "whole"),
}
PROGRAM = """
import torch
from pathlib import Path
from safetensors.torch import load_file, save_file
from transformers import AutoModelForCausalLM, AutoTokenizer

for folder in map(Path, sys.argv[1:]):
    model, found = AutoModelForCausalLM.from_pretrained(folder / "model", output_loading_info=True)
    assert not any(found[key] for key in ("missing_keys", "unexpected_keys", "mismatched_keys")), found
    ids = load_file(folder / "ids.safetensors")["ids"]
    tokenizer = AutoTokenizer.from_pretrained(folder / "model")
    with torch.no_grad():
        logits = model(ids).logits
        text = model.generate(ids, max_new_tokens=24, min_new_tokens=24, do_sample=False)
    assert tokenizer(tokenizer.decode(text[0]))["input_ids"] == text[0].tolist()
    found = {"logits": logits.contiguous(), "text": text.contiguous()}
    save_file(found | {"experts": torch.tensor(model.config.num_local_experts)}, folder / "theirs.safetensors")
    print(type(model).__module__, type(model).__name__)
"""


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """Every model with our logits and text; then run by one process of its own."""
    found = {}
    ids = tokens()[:, :64]
    for name, build in MODELS.items():
        folder = found[name] = tmp_path_factory.mktemp("case")
        model = build(folder)
        write(model, folder / "model")
        with torch.no_grad():
            logits = model(ids).logits
            text = model.generate(ids, max_new_tokens=24, min_new_tokens=24, do_sample=False)
        save_file({"ids": ids}, folder / "ids.safetensors")
        save_file({"logits": logits.contiguous(), "text": text.contiguous()}, folder / "ours.safetensors")
    lines = run_elsewhere(PROGRAM, *found.values(), folder=tmp_path_factory.mktemp("elsewhere")).splitlines()
    assert lines == ["transformers.models.mixtral.modeling_mixtral MixtralForCausalLM"] * len(MODELS)
    return found


@pytest.mark.parametrize(("name", "experts"), [*zip(MODELS, (6, 1, 8, 4), strict=True)])
def test_the_same_logits_and_text(name: str, experts: int, ours: dict[str, Path]) -> None:
    mine, theirs = (load_file(ours[name] / f"{who}.safetensors") for who in ("ours", "theirs"))
    assert int(theirs["experts"]) == experts and mine["logits"].std() > 0.5
    agree(theirs["logits"], mine["logits"], "logits", within=1e-5)
    agree(theirs["text"], mine["text"], "tokens")
