"""DoRA in files of Hugging Face PEFT: LoRA with `use_dora`, and the lengths of the rows."""

from __future__ import annotations

from typing import Any

from torch import Tensor, nn

from ..adapter_set import AdapterSet
from ..kinds.dora import DoRAConfig, DoRALayer
from .peft_folder import PREFIX, Contents, Method, PeftFile, Read, one_for_all
from .peft_lora import FACTORS, FIELDS, by_rank, lora_fields

_PARTS = FACTORS | {"lora_magnitude_vector": "magnitude"}


def _read(model: nn.Module, file: PeftFile) -> Read:
    found, rest = file.by_module(_PARTS)
    options: dict[str, Any] = {**file.heads(model, rest), "dropout": file.config.get("lora_dropout") or 0.0}
    state = dict(rest)
    for path, parts in found.items():
        state[f"{path}.lora_A.weight"] = parts["A"]
        state[f"{path}.lora_B.weight"] = parts["B"]
        state[f"{path}.magnitude"] = parts["magnitude"]
    config = by_rank(file, found, lambda modules, **scale: DoRAConfig(modules=modules, **scale, **options))
    return Read(config, state)


def _written(adapters: AdapterSet) -> Contents:
    """Pruned factors dense, with zeros."""
    tensors: dict[str, Tensor] = {}
    scales: dict[str, tuple[int, float]] = {}
    dropouts: list[float] = []
    for path, layer in adapters.layers():
        assert isinstance(layer, DoRALayer)
        down = layer.lora_A.effective()
        tensors[f"{PREFIX}{path}.lora_A.weight"] = down
        tensors[f"{PREFIX}{path}.lora_B.weight"] = layer.lora_B.effective()
        tensors[f"{PREFIX}{path}.lora_magnitude_vector"] = layer.magnitude
        scales[path] = (len(down), layer.scaling * len(down))
        dropouts.append(layer.dropout.p)
    fields = lora_fields(scales, {}, one_for_all("dropout", dropouts))
    return Contents(fields | {"peft_type": "LORA", "use_dora": True}, tensors)


DORA = Method("DoRA", (DoRALayer,), FIELDS | {"use_dora"}, _read, _written)
