"""What a folder of ours says in a process to which this package is not there, and where it is but was not imported."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn
from transformers import AutoModelForCausalLM

from sparsebench.models import load, save
from sparsebench.models.adapters import LoRAConfig, attach
from sparsebench.models.hub.folder_card import CARD, OPENER, auto_class, write_card
from sparsebench.models.moe import MoEConfig, convert

from ..foreign_engines.elsewhere import OFFLINE, run_elsewhere

WITHOUT = """
from transformers import AutoModel, AutoModelForCausalLM

folder = sys.argv[1]
for keywords, error, words in (
    ({}, ValueError, ("contains custom code", folder, "trust_remote_code=True")),
    ({"trust_remote_code": True}, ImportError, ("sparsebench", "pip install sparsebench")),
):
    for auto in (AutoModel, AutoModelForCausalLM):
        try:
            auto.from_pretrained(folder, **keywords)
        except error as found:
            assert all(word in str(found) for word in words), found
        else:
            raise AssertionError("it opened")
print("refused")
"""
NOT_IMPORTED = """
import sys
import torch
from transformers import AutoModelForCausalLM

torch.set_num_threads(1)
assert not [name for name in sys.modules if name.startswith("sparsebench")]
model = AutoModelForCausalLM.from_pretrained(sys.argv[1], trust_remote_code=True)
with torch.no_grad():
    print(type(model).__name__, float(model(torch.arange(3, 9)[None]).logits.double().abs().sum()))
"""


@pytest.fixture
def saved(build: Callable[[str], nn.Module], tmp_path: Path) -> tuple[Any, Path]:
    model: Any = convert(build("llama"), MoEConfig(num_experts=4))
    model.save_pretrained(tmp_path / "model")
    return model, tmp_path / "model"


def test_without_the_package_transformers_names_it(saved: tuple[Any, Path], tmp_path: Path) -> None:
    """It advised to update transformers."""
    assert run_elsewhere(WITHOUT, saved[1], folder=tmp_path).endswith("refused\n")


def test_a_program_that_does_not_import_the_package_opens_it(saved: tuple[Any, Path], tmp_path: Path) -> None:
    environment = os.environ | OFFLINE | {"HF_HOME": str(tmp_path / "hub")}
    command = [sys.executable, "-c", NOT_IMPORTED, str(saved[1])]
    done = subprocess.run(command, capture_output=True, text=True, timeout=280, env=environment)
    assert done.returncode == 0, done.stderr[-3000:]
    name, total = done.stdout.split()
    assert name == "SparsebenchLlamaForCausalLM"
    with torch.no_grad():
        logits = saved[0](torch.arange(3, 9)[None]).logits
    assert float(total) == pytest.approx(float(logits.double().abs().sum()), rel=1e-6)


def test_the_card_says_how_to_open_it(saved: tuple[Any, Path], tmp_path: Path) -> None:
    text = (saved[1] / CARD).read_text()
    assert "# SparsebenchLlamaForCausalLM" in text and 'AutoModelForCausalLM.from_pretrained("this folder")' in text
    assert "pip install sparsebench" in text and OPENER in text
    (saved[1] / CARD).write_text("mine")
    saved[0].save_pretrained(saved[1])
    assert (saved[1] / CARD).read_text() == "mine"
    write_card(tmp_path, "A title", "code()")
    assert (tmp_path / CARD).read_text().endswith("```python\ncode()\n```\n")


def test_a_folder_of_our_own_format_names_its_door(build: Callable[[str], nn.Module], tmp_path: Path) -> None:
    """It said that model.safetensors was missing."""
    model: Any = build("llama")
    attach(model, LoRAConfig(r=2))
    save(model, tmp_path / "model")
    for cls in (AutoModelForCausalLM, type(model)):
        with pytest.raises(OSError, match=r"open_with_sparsebench\.models\.load\.safetensors"):
            cls.from_pretrained(tmp_path / "model")
    loaded: Any = load(tmp_path / "model")
    assert not hasattr(loaded.config, "transformers_weights")


def test_auto_classes_by_name() -> None:
    found = {
        "SparsebenchGPT2LMHeadModel": "AutoModelForCausalLM",
        "SparsebenchViTForImageClassification": "AutoModelForImageClassification",
        "SparsebenchT5ForConditionalGeneration": "AutoModelForSeq2SeqLM",
        "SparsebenchBertModel": "AutoModel",
        "Graph2SeqForNothing": "AutoModel",
        "": "AutoModel",
    }
    assert {name: auto_class(name) for name in found} == found
