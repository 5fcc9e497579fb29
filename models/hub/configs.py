"""The configuration of a changed model: that of the model it was, and what was changed."""

from __future__ import annotations

import copy
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .derived_classes import source_of
from .folder_card import AUTO_MAP, write_opener

if TYPE_CHECKING:
    from transformers import PreTrainedConfig as _Source
else:
    _Source = object

MODEL_TYPE = "sparsebench"
"""What `config.json` calls the type of every changed model."""
NO_STOCK_WEIGHTS = "open_with_an_AutoModel_after_import_sparsebench.models.safetensors"
"""In `config.json` the name of the weights file. There is none of this name: a class of transformers, which would build
dense layers and leave them random, looks for it and says that it is missing. Ours take the usual name."""


class ChangedConfig(_Source):
    """What the configuration of a changed model has in addition, in memory and in `config.json`.

    `sparsebench`: the `source` (model type, class and room of the configuration below), `parts` (by room, what `Part`
    describes), and in files `buffers` that are not stored (dtype by name, where it is not float32). `model_type` stays
    the source's in memory; in files it is `MODEL_TYPE`.
    """

    sparsebench: dict[str, Any]

    @classmethod
    def get_config_dict(cls, *args: Any, **keywords: Any) -> tuple[dict[str, Any], dict[str, Any]]:
        """What a folder says, as transformers reads it, with the fields that the source's class knows."""
        fields, rest = super().get_config_dict(*args, **keywords)
        return source_fields(fields), rest

    @classmethod
    def from_dict(cls, config_dict: dict[str, Any], **keywords: Any) -> Any:
        """The configuration of a dictionary, as transformers reads it."""
        return super().from_dict(source_fields(config_dict), **keywords)

    def to_json_string(self, use_diff: bool = True) -> str:
        """The JSON of transformers, with what stops its own classes from opening the file."""
        fields = json.loads(super().to_json_string(use_diff))
        fields |= {"model_type": MODEL_TYPE, "transformers_weights": NO_STOCK_WEIGHTS, "auto_map": AUTO_MAP}
        return json.dumps(fields, indent=2, sort_keys=True) + "\n"

    def save_pretrained(self, save_directory: str | os.PathLike[str], *args: Any, **keywords: Any) -> None:
        """Write what transformers writes, with a model card and the code that `auto_map` names."""
        folder = Path(save_directory)
        folder.mkdir(parents=True, exist_ok=True)
        write_opener(folder, next(iter(self.architectures or ()), ""), self.sparsebench["parts"])
        super().save_pretrained(save_directory, *args, **keywords)


def source_fields(fields: dict[str, Any]) -> dict[str, Any]:
    """Fields of a `config.json` as the source's class knows them, and `sparsebench`."""
    fields = dict(fields)
    if fields.get("model_type") == MODEL_TYPE:
        fields["model_type"] = fields["sparsebench"]["source"]["model_type"]
        fields.pop("transformers_weights", None)
        fields.pop("auto_map", None)
    return fields


def recast(config: Any, cls: Any) -> Any:
    """A copy of a configuration as an object of another class with the same fields."""
    made = cls.__new__(cls)
    made.__dict__.update(copy.deepcopy(config.__dict__))
    return made


def unchanged(config: ChangedConfig) -> Any:
    """A copy of the configuration that is of the source's class."""
    made = recast(config, source_of(type(config)))
    del made.sparsebench
    return made
