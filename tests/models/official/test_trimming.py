"""What is left of a mixture, block by block; contradictions are refused."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import save_file

from sparsebench.models.errors import ModelError
from sparsebench.models.official.checkpoint import Checkpoint
from sparsebench.models.official.trimming import trimmed

KEY = "num_local_experts"


def saying(place: Path, **config: Any) -> Checkpoint:
    (place / "config.json").write_text(json.dumps({"num_hidden_layers": 3} | config), encoding="utf-8")
    save_file({"a": torch.zeros(1)}, place / "model.safetensors")
    return Checkpoint(place)


def test_numbers_of_each_block(tmp_path: Path) -> None:
    config = {KEY: [None, 2, -1], "layer_experts_idx": [None, [3, 0], None]}
    left = trimmed(saying(tmp_path, **config), KEY, (1, 2))
    assert (left.counts, left.rows, left.removed) == ([None, 2, -1], {1: 2}, [2])
    assert left.parts(says_all=False) == {"removed": {"mlp": [2], "attention": []}}
    assert [len(names) for names in left.inside()] == [6, 6, 5]


def test_one_number_for_all(tmp_path: Path) -> None:
    left = trimmed(saying(tmp_path, **{KEY: 4}), KEY, (1, 2))
    assert (left.counts, left.parts(says_all=False)) == ([None, 4, 4], {})


def test_uneven_numbers_and_kept_rows(tmp_path: Path) -> None:
    uneven = trimmed(saying(tmp_path, **{KEY: [2, 1, 2]}), KEY, range(3))
    blocks = {"0": [2, 0, 0], "1": [1, 0, 0], "2": [2, 0, 0]}
    assert uneven.parts(says_all=False) == {"compression": {"blocks": blocks}}
    assert uneven.parts(says_all=True) == {}
    kept = trimmed(saying(tmp_path, **{KEY: [2, 1, -1], "gate_num_experts": [3, 3, None]}), KEY, range(3))
    assert kept.parts(says_all=True)["compression"] == {"blocks": {"0": [2, 3, 0], "1": [1, 3, 0]}}
    placed = kept.placed("experts", 1, {"down": torch.zeros(1)})
    assert placed["experts.table"].tolist() == [0, -1, -1, -1] and "experts.base_layer.down" in placed


@pytest.mark.parametrize(
    ("config", "message"),
    [
        ({KEY: [2, 2, 2]}, "do not fit each other"),
        ({KEY: [None, 2]}, "do not fit each other"),
        ({KEY: None}, "do not fit each other"),
        ({KEY: [None, 2, 2], "layer_experts_idx": [None, [0, 1], [0]]}, "do not fit each other"),
        ({KEY: [None, 0, 2]}, "block 1 .* has no expert"),
        ({KEY: [None, -1, -1]}, "or how many experts"),
        ({KEY: [None, "2", 2]}, "or how many experts"),
        ({KEY: [None, 2, 2], "gate_num_experts": [None, 4, 3]}, "as many in every block"),
        ({KEY: [None, 2, 2], "gate_num_experts": [4]}, "as many in every block"),
    ],
    ids=str,
)
def test_contradictions(config: dict[str, Any], message: str, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=message):
        trimmed(saying(tmp_path, **config), KEY, (1, 2))
