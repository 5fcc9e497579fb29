"""Dense to mixture to 4 bits to a stock folder, by three calls; and nothing is left of what fails."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from sparsebench.models import load
from sparsebench.models.errors import ModelError
from sparsebench.suites.model_tools import compress, convert, export, verbs
from sparsebench.suites.model_tools.steps.weights import Quantise


@pytest.fixture(scope="module")
def mixture(dense: Path, text: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("verbs") / "mixture"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(verbs, "_both", lambda *_: "not asked")
        convert(dense, out, experts=4, top_k=2, shared=1, calibration=text, documents=3, windows=2, say=len)
    return out


def test_three_calls(mixture: Path, text: Path, tmp_path: Path, short_rounds: None) -> None:
    packed, stock = tmp_path / "packed", tmp_path / "stock"
    lines: list[str] = []
    made = compress(mixture, packed, bits=4, method="rtn", calibration=text, documents=3, say=lines.append)
    assert lines[2].startswith("step 1 of 1: quantise bits=4")
    assert made.after.bytes < 0.6 * made.before.bytes and made.after.parameters == made.before.parameters
    assert not isinstance(made.speed, str) and made.speed[1].written > 0
    exported = export(packed, stock, engine="compressed-tensors", held_out=text, documents=3, say=len)
    assert exported.architecture == "Qwen2MoeForCausalLM"
    settings = json.loads((stock / "config.json").read_text())
    assert settings["quantization_config"]["config_groups"]["group_0"]["weights"]["num_bits"] == 4
    assert (stock / "tokenizer.json").is_file()
    # The same documents, and the same weights; products with packed ones round their inputs.
    assert abs(exported.difference.estimate.mean) < 0.02


def test_what_is_measured_is_what_was_written(mixture: Path, text: Path, tmp_path: Path, short_rounds: None) -> None:
    made = compress(mixture, tmp_path / "less", keep_experts=0.67, calibration=text, documents=3, windows=2, say=len)
    model: Any = load(tmp_path / "less")
    assert made.after.parameters == sum(weight.numel() for weight in model.parameters()) < made.before.parameters
    assert made.after.bytes == (tmp_path / "less" / "model.safetensors").stat().st_size
    assert made.engines["sparsebench"] == "opens it" and "as " in made.engines["transformers"]
    assert len(made.before.loss.rows) == 3 and made.steps[0].done.startswith("2 of 6 experts dropped")


@pytest.mark.parametrize("error", [KeyboardInterrupt, MemoryError, ModelError])
def test_nothing_is_left_of_what_fails(
    error: type[BaseException], dense: Path, text: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise error("in the middle")

    monkeypatch.setattr(
        torch.nn.Module if error is MemoryError else Quantise, "eval" if error is MemoryError else "apply", fail
    )
    with pytest.raises(error):
        compress(dense, tmp_path / "out", bits=4, calibration=text, documents=3, say=len)
    assert list(tmp_path.iterdir()) == []


def test_mistakes(dense: Path, text: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    with pytest.raises(ModelError, match="makes no mixture"):
        convert(dense, out, bits=4)
    with pytest.raises(ModelError, match="not an empty folder"):
        compress(dense, text.parent, bits=4)
    with pytest.raises(ModelError, match="windows=0"):
        compress(dense, out, bits=4, windows=0)
    with pytest.raises(ModelError, match="device='cpux'"):
        compress(dense, out, bits=4, calibration=text, device="cpux", say=len)
    with pytest.raises(ModelError, match="experts: LlamaForCausalLM has no mixture of experts"):
        compress(dense, out, keep_experts=0.5, calibration=text, say=len)
    assert list(tmp_path.iterdir()) == []
