"""Which methods of PEFT are read and written, for which layers, and which are refused."""

import copy
import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from torch import nn

from sparsebench.models.adapters import CombinedConfig, LoRAConfig, NormTuningConfig, attach, load_peft, save_peft
from sparsebench.models.adapters.config import AdapterConfig
from sparsebench.models.adapters.kinds.dora import DoRAConfig
from sparsebench.models.adapters.kinds.ia3 import IA3Config
from sparsebench.models.adapters.kinds.vera import VeRAConfig
from sparsebench.models.compression.trimming import drop_blocks
from sparsebench.models.errors import ModelError

peft = pytest.importorskip("peft")
from .peft_tools import theirs  # noqa: E402 - it imports PEFT

pytestmark = [pytest.mark.filterwarnings("ignore::FutureWarning"), pytest.mark.filterwarnings("ignore::UserWarning")]

Build = Callable[[str], nn.Module]
REFUSED = {
    "PROMPT_TUNING": lambda: peft.PromptTuningConfig(num_virtual_tokens=2, task_type="CAUSAL_LM"),
    "P_TUNING": lambda: peft.PromptEncoderConfig(
        num_virtual_tokens=2, encoder_hidden_size=8, encoder_num_layers=1, task_type="CAUSAL_LM"
    ),
    "LOHA": lambda: peft.LoHaConfig(r=2, target_modules=["q_proj"]),
    "OFT": lambda: peft.OFTConfig(oft_block_size=8, target_modules=["q_proj"]),
}


@pytest.mark.parametrize("method", REFUSED)
def test_methods_without_a_counterpart_are_refused(method: str, build: Build, tmp_path: Path) -> None:
    theirs(build("llama"), REFUSED[method](), tmp_path)
    model = build("llama")
    before = [name for name, _ in model.named_modules()]
    reason = "make a text longer" if method in ("PROMPT_TUNING", "P_TUNING") else "no kind of adapter here"
    with pytest.raises(ModelError, match=f"peft_type='{method}', which cannot be loaded: .*{reason}"):
        load_peft(model, tmp_path)
    assert [name for name, _ in model.named_modules()] == before


def test_what_no_file_of_peft_can_hold_is_refused(build: Build, tmp_path: Path) -> None:
    adapters = attach(build("llama"), NormTuningConfig())
    with pytest.raises(ModelError, match="has a TunedLayer: this format has LORA, DORA, IA3, VERA"):
        save_peft(adapters, tmp_path / "out")
    adapters.remove()
    with pytest.raises(ModelError, match="not on the model"):
        save_peft(adapters, tmp_path / "out")
    both = CombinedConfig(parts=(LoRAConfig(r=2), IA3Config(modules=("k_proj",))))
    with pytest.raises(ModelError, match="are IA3 and LORA: a file of PEFT holds one method"):
        save_peft(attach(build("llama"), both), tmp_path / "out")
    assert not (tmp_path / "out").exists()


LAYERWISE: dict[str, tuple[tuple[AdapterConfig, ...], str]] = {
    "LoRA": ((LoRAConfig(r=2, targets=("q",), dropout=0.1), LoRAConfig(r=2, targets=("v",))), r"dropout \(0.1, 0.0\)"),
    "DoRA": (
        (DoRAConfig(modules=("q_proj",), dropout=0.1), DoRAConfig(modules=("v_proj",), dropout=0.3)),
        r"dropout \(0.1, 0.3\)",
    ),
    "VeRA of two ranks": ((VeRAConfig(modules=("q_proj",), r=2), VeRAConfig(modules=("v_proj",), r=3)), r"r \(2, 3\)"),
    "VeRA": ((VeRAConfig(modules=("q_proj",), r=2), VeRAConfig(modules=("v_proj",), r=2)), "of several VeRAConfigs"),
}


@pytest.mark.parametrize("case", LAYERWISE)
def test_what_a_file_says_once_must_be_the_same_in_all_layers(case: str, build: Build, tmp_path: Path) -> None:
    parts, message = LAYERWISE[case]
    adapters = attach(build("llama"), CombinedConfig(parts=parts))
    with pytest.raises(ModelError, match=message):
        save_peft(adapters, tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_experts_have_no_dropout_in_a_file(build: Build, tmp_path: Path) -> None:
    """PEFT refuses to load one with fused experts in it."""
    parts = (LoRAConfig(r=2, dropout=0.1), LoRAConfig(r=2, targets=("experts",)))
    with pytest.raises(ModelError, match=r"differ in dropout \(0.1, 0.0\)"):
        save_peft(attach(build("mixtral"), CombinedConfig(parts=parts)), tmp_path / "out")


def test_a_file_without_a_method_is_refused(build: Build, tmp_path: Path) -> None:
    save_peft(attach(build("llama"), LoRAConfig(r=2)), tmp_path)
    file = tmp_path / "adapter_config.json"
    file.write_text(json.dumps({"r": 2}))
    with pytest.raises(ModelError, match="peft_type=None"):
        load_peft(build("llama"), tmp_path)
    file.write_text("[]")
    with pytest.raises(ModelError, match=r"adapter_config.json holds no fields"):
        load_peft(build("llama"), tmp_path)


def test_places_follow_the_blocks(
    build: Build, tmp_path: Path, shake: Callable, example: Callable, run: Callable
) -> None:
    """Adapters of a block behind a dropped one were saved under the number that it had before."""
    model = build("llama")
    plain = copy.deepcopy(model)
    adapters = shake(attach(model, LoRAConfig(r=4, targets=("linears",), init="normal")))
    before = [place for place, _ in adapters.layers()]
    for each in (model, plain):
        drop_blocks(each, [0])
    assert [place for place, _ in adapters.layers()] == [place for place in before if ".0." in place]
    save_peft(adapters, tmp_path)
    load_peft(plain, tmp_path)
    assert torch.equal(run(plain, example(plain)), run(model, example(model)))
