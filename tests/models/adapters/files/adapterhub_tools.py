"""Files of AdapterHub's library as they were recorded, and the models that they are for."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
import transformers
from safetensors.torch import save_file
from torch import Tensor, nn

from ...oracles.oracle import Oracle, rounding

ORACLE = Oracle("adapterhub.safetensors")
SIZES: dict[str, Any] = {
    "hidden_size": 8,
    "intermediate_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 2,
    "num_labels": 3,
}
TEXT: dict[str, Any] = {"vocab_size": 12, "max_position_embeddings": 10, "type_vocab_size": 1}
IMAGE: dict[str, Any] = {"image_size": 8, "patch_size": 4}
CASES = sorted(ORACLE.about)
NEAR = rounding(products=12, terms=12)
"""Two layers of six products each."""


def written_bodies(folder: Path) -> Mapping[str, Path]:
    """Folders with the models that the adapters were on, in the names that transformers had then."""
    configs = {"bert": transformers.BertConfig(**SIZES, **TEXT), "vit": transformers.ViTConfig(**SIZES, **IMAGE)}
    for family, config in configs.items():
        config.save_pretrained(folder / family)
        save_file(ORACLE.below(f"{family}.model."), folder / family / "model.safetensors", metadata={"format": "pt"})
    return {family: folder / family for family in configs}


def body(bodies: Mapping[str, Path], family: str) -> Any:
    classes = {"bert": transformers.BertForSequenceClassification, "vit": transformers.ViTForImageClassification}
    return classes[family].from_pretrained(bodies[family]).eval()


def inputs(family: str) -> dict[str, Tensor]:
    """The recorded ones; the second text is padded."""
    if family == "vit":
        return {"pixel_values": ORACLE["vit.input"]}
    mask = torch.arange(7) < torch.tensor([[7], [5]])
    return {"input_ids": ORACLE["bert.input"], "attention_mask": mask.long()}


def logits(model: nn.Module, family: str) -> Tensor:
    """Of the recorded inputs."""
    with torch.no_grad():
        return model(**inputs(family)).logits


def stored(folder: Path, case: str, **settings: Any) -> Path:
    """A folder as the library writes it, perhaps with other settings."""
    folder.mkdir(exist_ok=True)
    about = ORACLE.about[case]
    changed = about | {"config": about["config"] | settings}
    (folder / "adapter_config.json").write_text(json.dumps(changed))
    torch.save(ORACLE.below(f"{case}.file."), folder / "pytorch_adapter.bin")
    return folder
