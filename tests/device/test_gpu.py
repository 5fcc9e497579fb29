"""`make gpu` says that there is no GPU, and what it measures runs on a CPU, small."""

import pytest
import torch

from . import gpu
from .roofline import Experts

TINY = Experts(tokens=3, width=16, hidden=16, experts=4, top_k=2)


def test_without_a_gpu(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    assert gpu.main() == 1
    assert capsys.readouterr().err == "make gpu: there is no GPU here (`make device-audit` needs none)\n"


def test_each_implementation_is_timed_or_says_why_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    monkeypatch.setattr(gpu, "PEERS", ("eager", "no such experts"))
    ours, eager, other = list(gpu.speed("cpu", [TINY]))[:3]
    assert ours["experts by"] == "sparsebench"
    assert all(row["forward ms"] > 0 and row["step ms"] > 0 for row in (ours, eager))
    assert other["not run"].startswith("ValueError: Specified `experts_implementation=")


def test_the_row_of_published_scale(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(gpu, "ROUNDS", 1)
    config = gpu.llama_2_7b()
    assert (config.hidden_size, config.intermediate_size, config.num_hidden_layers) == (4096, 11008, 32)
    config.update({"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 1, "vocab_size": 8, "head_dim": 8})
    config.update({"num_attention_heads": 4, "num_key_value_heads": 4})
    row = gpu.at_published_scale("cpu", config, tokens=4)
    assert row["dense tokens/s"] > 0
    assert row["mixture tokens/s"] > 0


def test_what_is_wrong() -> None:
    good = {"case": "a", "type": "float32", "error": 1e-7}
    bad = {"kernel": "b", "type": "bfloat16", "error": 0.6}
    lost = {**good, "error": float("nan")}
    found = {"functions": [good, lost], "kernels": [bad], "smoke": 3}
    assert gpu.problems(found) == [
        "a, float32: off by nan",
        "b, bfloat16: off by 6.0e-01",
        "the profile smoke ended with 3",
    ]
