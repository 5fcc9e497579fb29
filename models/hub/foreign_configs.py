"""Configurations that the stock classes of transformers would read without heeding all that they say.

A stock class takes any key of a `config.json` and computes as if the ones that it does not know were not there. Folders
of LLaMA-MoE v2 call themselves "mixtral" and say `scale_factor`: they open without a word, and are wrong.
"""

from __future__ import annotations

import copy
import functools
import inspect
import re
import reprlib
from collections.abc import Iterator, Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from ..errors import ModelError
from .configs import MODEL_TYPE
from .rooms import import_room

_WITHOUT_EFFECT = re.compile(
    "^_|dropout|pdrop|_init|xavier|_fusion|in_fp32|aux_loss|loss_coef|token_ids?$|tokeniz|version|unsloth|^summary_"
    "|max_length|seq(uence)?_length|context_length|decoder_ids|quantization_config|task_specific|transformers.js"
    "|^(auto_map|torch_dtype|cache_implementation|prefix|finetuning_task|gradient_checkpointing|pretraining_tp|n_ctx"
    "|is_llama_config|neftune_noise_alpha|max_window_layers|stage_names|seq_aux|output_past|num_nextn_predict_layers)$"
)
"""Keys about training, tokens, lengths and other programs: they do not change what a model computes of its inputs."""
_WRITTEN_EARLIER: dict[str, dict[str, Any]] = {
    "bert": {"position_embedding_type": "absolute"},
    "bloom": {"skip_bias_add": True, "offset_alibi": 100},
    "deepseek_v2": {"scoring_func": "softmax"},
    "deepseek_v3": {"scoring_func": "sigmoid", "topk_method": "noaux_tc"},
    "distilbert": {"tie_weights_": True},
    "gemma": {"hidden_activation": "gelu_pytorch_tanh"},
    "gemma2": {"hidden_act": "gelu_pytorch_tanh"},
    "gpt_oss": {"experts_per_token": 4},
    "modernbert": {"position_embedding_type": "absolute", "layer_norm_eps": 1e-5},
    "opt": {"output_projection": True},
    "roberta": {"position_embedding_type": "absolute"},
    "starcoder2": {"norm_type": "layer_norm", "mlp_type": "default", "activation_function": "gelu"}
    | {"layer_norm_epsilon": 1e-5, "scale_attn_weights": True},
    "swin": {"path_norm": True},
    "t5": {"n_positions": 512},
}
"""By model type, values in published files for which today's stock class stands without being told."""
_OLD_NAMES = frozenset({"t5withlmheadmodel"})
"""Classes, in small letters, that transformers has under another name today."""


def foreign_keys(config_dict: Mapping[str, Any], config_class: Any) -> dict[str, Any]:
    """What a `config.json` says that the model of a configuration class of transformers does not heed, by key.

    Keys of configurations within this one have a dot before them. No key is reported that

    - the class has as a field or reads under an older name (`rope_theta`), or that its modelling code asks for;
    - says that something is not there: None, False, 0, an empty list or text, or a factor or number of groups of 1;
    - is about training, tokens, lengths or other programs, or says what is so without it (two lists above).
    """
    return dict(_foreign(config_dict, config_class.from_dict(copy.deepcopy(dict(config_dict))), ""))


def refuse_foreign(config_dict: Mapping[str, Any], name: str) -> None:
    """Raise a `ModelError` for the `config.json` of the model `name` if the classes of transformers would not compute
    that model: it says what the model is.

    Refused are checkpoints in the layouts of `models.official`, types that transformers does not know, classes in
    `architectures` or `auto_map` that it does not have, and `foreign_keys`. A folder with code of its own whose classes
    have the names of stock ones (Phi-3, DeepSeek) passes where the keys do: that code is never run, and transformers
    has its own. Folders of this package pass.
    """
    from transformers import CONFIG_MAPPING

    kind: Any = config_dict.get("model_type")
    if kind == MODEL_TYPE:
        return
    how_to_open = import_room("official").how_to_open(name, config_dict)
    if how_to_open is not None:
        raise ModelError(how_to_open)
    if kind is None:
        raise ModelError(f"{name} has no config.json that names a model_type: no model of transformers lies there")
    if kind not in CONFIG_MAPPING:
        code = ", and names code of its own (auto_map), which is not run" if "auto_map" in config_dict else ""
        raise ModelError(f"{name} holds a {kind!r}, a type that the installed transformers does not know{code}")
    if CONFIG_MAPPING[kind].__module__.startswith("transformers."):
        _refuse_stock(config_dict, CONFIG_MAPPING[kind], name)


def _refuse_stock(config_dict: Mapping[str, Any], cls: Any, name: str) -> None:
    kind = cls.model_type
    found = foreign_keys(config_dict, cls)
    strange = sorted(_strange_classes(config_dict))
    if strange:
        raise ModelError(
            f"{name} calls itself {kind!r} but is a {' or '.join(strange)}, which transformers does not have: code of "
            "its own is not run, and a stock class would compute something else"
        )
    if found:
        raise ModelError(
            f"{name} says {_listed(found)} in its config.json, which the {kind!r} of transformers would ignore: if "
            "that changes nothing of what the model computes, open a copy of the folder without it"
        )


def _foreign(given: Mapping[str, Any], made: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    cls = type(made)
    known = {field.name for field in fields(cls)}.union(dir(cls), cls.attribute_map)
    written = _WRITTEN_EARLIER.get(cls.model_type, {})
    for key, value in given.items():
        kept = vars(made).get(key)
        if isinstance(value, Mapping) and hasattr(type(kept), "attribute_map"):
            yield from _foreign(value, kept, f"{prefix}{key}.")
        elif key not in vars(made) or key in known or key in _asked_for(cls):
            continue  # what was read under an older name is not kept under it
        elif not _says_no(value) and not _WITHOUT_EFFECT.search(key) and written.get(key) != value:
            yield f"{prefix}{key}", value


def _says_no(value: Any) -> bool:
    return not value or (value == 1 and value is not True)


@functools.cache
def _asked_for(config_class: type) -> frozenset[str]:
    """Keys that the code of a class sets, or that its model asks for: `self.key`, `config.key`, or `key` in quotes."""
    found: set[str] = set()
    place = Path(inspect.getfile(config_class)).parent
    for kind, owner in (("configuration", "self"), ("modeling", "config")):
        for file in place.glob(f"{kind}_*.py"):
            text = file.read_text(encoding="utf-8")
            found.update(re.findall(rf"\b{owner}\.(\w+)", text), re.findall(r"[\"'](\w+)[\"']", text))
    return frozenset(found)


def _strange_classes(config_dict: Mapping[str, Any]) -> set[str]:
    """Names of model classes that transformers does not have, whatever their letters' case."""
    import transformers

    named: set[str] = set(config_dict.get("architectures") or ())
    for auto, place in (config_dict.get("auto_map") or {}).items():
        if auto.startswith("AutoModel") and isinstance(place, str):
            named.add(place.rpartition(".")[2])
    stock = {name.lower() for name in dir(transformers)} | _OLD_NAMES
    return {name for name in named if name.lower() not in stock}


def _listed(found: Mapping[str, Any]) -> str:
    return ", ".join(f"{key}={reprlib.repr(value)}" for key, value in found.items())
