"""`sparsebench import`: what was read and what the checkpoint cannot tell; mistakes are one line."""

from pathlib import Path

from sparsebench.models import load

RECORDED = Path(__file__).parents[3] / "models" / "oracles" / "official_layouts"


def test_import(sparsebench, tmp_path: Path) -> None:
    out = tmp_path / "ours"
    code, text, err = sparsebench("import", str(RECORDED / "llama_moe_v2_residual"), str(out))
    assert code == 0, err
    assert "65 tensors, 23,136 parameters, all read" in text
    assert text.count("not told by the checkpoint: ") == 2
    assert load(out).config.num_hidden_layers == 2


def test_mistakes(sparsebench, tmp_path: Path) -> None:
    code, _, err = sparsebench("import", str(tmp_path / "no/such/folder"), str(tmp_path / "ours"))
    assert code == 2
    assert err.count("\n") == 1 and "no name of a model on the hub" in err
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, _, err = sparsebench("import", str(RECORDED / "llama_moe_v1"), str(tmp_path / "full"))
    assert code == 2
    assert "not an empty folder" in err.splitlines()[-1]
