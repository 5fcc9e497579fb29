"""`import`: what was read and what the checkpoint cannot tell. The other verbs: what they print."""

import json
from pathlib import Path

import pytest

from sparsebench.models import load
from sparsebench.suites import model_tools
from sparsebench.suites.model_tools.outcome import Outcome

from ...model_tools.test_outcome import outcome

RECORDED = Path(__file__).parents[3] / "models" / "oracles" / "official_layouts"


def test_import(sparsebench, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    code, text, err = sparsebench("import", str(RECORDED / "llama_moe_v2_residual"), str(out))
    assert code == 0, err
    assert "65 tensors, 23,136 parameters, all read" in text
    assert text.count("not told by the checkpoint: ") == 2
    assert load(out).config.num_hidden_layers == 2


def test_verbs_print_the_outcome(sparsebench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: dict[str, object] = {}

    def compress(**values: object) -> Outcome:
        given.update(values)
        return outcome()

    monkeypatch.setattr(model_tools, "compress", compress, raising=False)
    words = ["compress", "small", "out", "--bits", "4", "--part", "experts", "--ignore", "a", "--ignore", "b"]
    code, text, err = sparsebench(*words)
    assert code == 0 and text == f"{outcome()}\n" and err == "starting to compress small ...\n"
    assert (given["bits"], given["parts"], given["ignore"]) == (4, ["experts"], ["a", "b"])
    code, text, _ = sparsebench(*words, "--json")
    assert code == 0 and json.loads(text) == json.loads(json.dumps(outcome().document()))


def test_ctrl_c_is_130(sparsebench, monkeypatch: pytest.MonkeyPatch) -> None:
    def stopped(**_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(model_tools, "export", stopped, raising=False)
    code, _, err = sparsebench("export", "small", "out")
    assert code == 130 and err.splitlines()[-1] == "sparsebench: stopped; nothing was written"
