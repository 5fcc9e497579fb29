"""The class of a changed model of transformers."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from ..errors import ModelError
from .configs import ChangedConfig
from .derived_classes import derive, source_of
from .folder_card import put_card_back
from .parts import Part, finish_parts, in_order, known_parts, part_of, parts_in

if TYPE_CHECKING:
    from transformers import PreTrainedModel as _Source
else:
    _Source = object

ALIGNMENT = 64
"""Bytes to which torch aligns tensors on the CPU."""


class ChangedModel(_Source):
    """What the class of a changed model has in addition to that of the source.

    Made from its configuration, a model gets its changed layers in the places of the source's; their weights then start
    from those of the source's layers. `save_pretrained` writes down the layers that the model has at that time.
    """

    config: Any

    def __init_subclass__(cls, **keywords: Any) -> None:
        super().__init_subclass__(**keywords)
        if "sparsebench_source" in vars(cls):
            cls.config_class = derive(ChangedConfig, source_of(cls).config_class)

    def __init__(self, config: Any, *args: Any, **keywords: Any) -> None:
        super().__init__(config, *args, **keywords)
        for room, description in in_order(config.sparsebench["parts"]):
            part = part_of(room)
            # A source may make its body by AutoModel, which knows the configuration: that is built already.
            if not any(map(part.holds, self.modules())):
                part.build(self, description)
                self._note_started(part)
            switch_classes(self, room)

    @classmethod
    def from_pretrained(cls, *args: Any, **keywords: Any) -> Any:
        """The model of a folder, to the same bits, with the arguments that transformers takes.

        Weights are aligned in memory, and buffers that are not stored get the dtype that they had when they were saved.

        Args:
            args: of transformers' own `from_pretrained`.
            keywords: the same.

        Returns:
            The model.

        Raises:
            ModelError: a file has other weights of changed layers than these have, or the model was saved with
                adapters.
        """
        wants_info = keywords.pop("output_loading_info", False)
        loaded: Any = super().from_pretrained(*args, output_loading_info=True, **keywords)
        model, info = loaded
        wrapped = [name for name in info["unexpected_keys"] if ".base_layer." in name]
        if wrapped:
            raise ModelError(
                f"{model.config.name_or_path} was saved with adapters on the model (as {sorted(wrapped)[0]}), which it "
                "does not describe: merge or remove them before save_pretrained, and save them by save_adapters"
            )
        model._check_all_used(info["unexpected_keys"])
        if keywords.get("dtype", keywords.get("torch_dtype")) in (None, "auto"):
            for name, dtype in model.config.sparsebench["buffers"].items():
                place, _, leaf = name.rpartition(".")
                module = model.get_submodule(place)
                setattr(module, leaf, getattr(module, leaf).to(getattr(torch, dtype)))
        model.config.sparsebench["buffers"] = {}  # which is right for files only
        align(model)
        finish_parts(model, model.config.sparsebench["parts"])
        return (model, info) if wants_info else model

    def save_pretrained(self, *args: Any, **keywords: Any) -> None:
        """Write what transformers writes.

        Args:
            args: of transformers' own `save_pretrained`.
            keywords: the same.

        Raises:
            ModelError: a changed layer cannot be described.
        """
        written = getattr(self.config, "sparsebench", None)
        if written is None:
            raise ModelError(
                f"this {type(self).__name__} is a part of a model that was opened as a whole, whose configuration says "
                "what was changed: save the whole model"
            )
        # Names as they are here: transformers knows no way back from the released ones of a class that is not its own.
        keywords.setdefault("save_original_format", False)
        # The configuration may be shared with a larger model, of which this one is a part with other layers.
        self.config.sparsebench = written | {"parts": parts_in(self), "buffers": _narrow_buffers(self)}
        try:
            super().save_pretrained(*args, **keywords)
        finally:
            self.config.sparsebench = written

    def _upload_modified_files(self, working_dir: Any, *args: Any, **keywords: Any) -> Any:
        """What `push_to_hub` calls last: transformers has put a card without words over ours by then."""
        put_card_back(Path(working_dir))
        return super()._upload_modified_files(working_dir, *args, **keywords)

    @torch.no_grad()
    def _init_weights(self, module: nn.Module) -> None:
        """Start the weights of a module, which transformers asks for where a checkpoint has none."""
        # Buffers that no file has are made again by their part (`finish`).
        stored = [name for name in module._buffers if name not in module._non_persistent_buffers_set]
        own = (*module._parameters.values(), *(module._buffers[name] for name in stored))
        # What lies on a disk stays on the meta device, and is not noted as loaded.
        if any(value is not None and not value.is_meta and not hasattr(value, "_is_hf_initialized") for value in own):
            self._check_not_changed(module)
        super()._init_weights(module)

    def _note_started(self, part: Part) -> None:
        """Have transformers know that changed layers outside the meta device have weights to start from."""
        for layer in filter(part.holds, self.modules()):
            if not any(parameter.is_meta for parameter in layer.parameters()):
                for module in layer.modules():
                    module._is_hf_initialized = True  # pyright: ignore[reportArgumentType] - transformers' own flag

    def _check_all_used(self, unexpected: Iterable[str]) -> None:
        """Raise a `ModelError` where a file has weights of a changed layer (biases) that the layer has no place for."""
        held = []
        for path, module in self.named_modules():
            if any(part.holds(module) for part in known_parts()):
                held.append(f"{path}.")
        # The file may be that of a body of which this is the whole, or the other way round.
        prefix = f"{self.base_model_prefix}."
        held += [place.removeprefix(prefix) for place in held] + [prefix + place for place in held]
        left = sorted(name for name in unexpected if name.startswith(tuple(held)))
        if left:
            raise ModelError(
                f"{self.config.name_or_path} does not fit its configuration: its file has weights that the changed "
                f"layers do not take, as {left[0]}"
            )

    def _check_not_changed(self, module: nn.Module) -> None:
        """Raise a `ModelError` for a module in a changed layer: those never start from random weights."""
        # Not the rooms in the configuration: that of a model within another (a tower of CLIP) names none.
        for part in known_parts():
            for layer in filter(part.holds, self.modules()):
                if any(inner is module for inner in layer.modules()):
                    raise ModelError(
                        f"{self.config.name_or_path} does not fit its configuration: its file has no weights for a "
                        f"{type(module).__name__} of a changed layer ({type(layer).__name__}): it is not whole, holds "
                        "tensors of other shapes, or was saved with adapters on the model"
                    )


def changed_class(source: type) -> Any:
    """The class of changed models of one class of transformers."""
    return derive(ChangedModel, source)


def switch_classes(model: nn.Module, room: str) -> None:
    """Give each model of transformers in `model`, itself too, with a layer of a room the class for changed models."""
    for inner in with_layers(model, room):
        if not isinstance(inner, ChangedModel):
            set_class(inner, changed_class(type(inner)))


def with_layers(model: nn.Module, room: str) -> Iterator[Any]:
    """The models of transformers in a module that hold a layer of a room, outer ones first."""
    transformers = sys.modules.get("transformers")
    if transformers is None:
        return
    holds = part_of(room).holds
    for module in list(model.modules()):
        if isinstance(module, transformers.PreTrainedModel) and any(map(holds, module.modules())):
            yield module


def set_class(model: Any, cls: type) -> None:
    """Make a model of transformers one of another class, derived from its own, or the other way round."""
    from transformers import modeling_utils

    model.__class__ = cls
    # transformers notes by class, when a model is made, which outputs of inner layers can be asked for; its earlier
    # versions by the name of the class.
    registry: Any = modeling_utils._CAN_RECORD_REGISTRY  # pyright: ignore[reportPrivateImportUsage]
    registry[str(cls) if type(registry) is dict else model] = model._can_record_outputs


def align(model: nn.Module) -> None:
    """Put weights where an allocator would: files are not aligned, and products depend on that in the last bit."""
    for value in model.parameters():
        plain = type(value.data) is torch.Tensor and value.device.type == "cpu"  # not spread over processes
        if plain and value.data_ptr() % ALIGNMENT:
            value.data = value.data.clone()


def _narrow_buffers(model: nn.Module) -> dict[str, str]:
    """Dtypes of the floating-point buffers that are not stored, which are computed in float32 when a model is made."""
    found: dict[str, str] = {}
    for path, module in model.named_modules():
        for name in module._non_persistent_buffers_set:
            value = module._buffers[name]
            if value is not None and value.is_floating_point() and value.dtype != torch.float32:
                found[f"{path}.{name}".lstrip(".")] = str(value.dtype).removeprefix("torch.")
    return found
