"""What older recipes say, in today's words; `test_loading.py` opens whole folders."""

import torch

from sparsebench.models.hub.older_folders import compact, converted, packed


def test_bases_of_mixtures() -> None:
    layers = {"blocks": {"0": {}}, "attention": {}}
    vit = {"room": "timm", "class": "vit", "num_classes": 3}
    for base, expected in (
        ({"library": "transformers", "class": "X"}, {"room": None, "class": "X", "changed": False}),
        ({"library": "graphsgpt", "class": "X"}, {"room": "graphsgpt", "class": "X", "changed": False}),
        ({"library": "timm", "architecture": "vit", "num_classes": 3}, vit),
    ):
        assert converted({"model": base} | layers, {}) == {"model": expected, "moe": layers}


def test_packed_models_lose_our_prefix() -> None:
    recipe = {"model": {"room": None, "class": "SparsebenchLlamaModel", "changed": True}, "packed": {}}
    assert packed(recipe, {})["model"]["class"] == "LlamaModel"


def test_sizes_of_compact_forms_come_from_their_tensors() -> None:
    layers = {name: {"unit": name} for name in ("weight", "row", "channel")}
    tensors = {
        "weight.compact.dynamic": torch.zeros(4, 7),
        "row.compact.dynamic": torch.zeros(4, 2, 3),
        "channel.compact.dynamic": torch.zeros(4, 5, 3, 1, 1),
        "vector.compact.bias": torch.zeros(6),
    }
    found = compact({"layers": layers, "attentions": {"vector": {}}}, tensors)["dynamic"]
    assert {name: entry["dynamic"] for name, entry in found["layers"].items()} == {"weight": 7, "row": 2, "channel": 3}
    assert found["attentions"]["vector"]["dynamic"] == 6
