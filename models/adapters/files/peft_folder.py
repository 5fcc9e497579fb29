"""A folder of Hugging Face PEFT: `adapter_config.json` and `adapter_model.safetensors`; what all its methods share."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from ...anatomy import UnknownAnatomy, describe, unwrapped
from ...errors import ModelError
from ..adapter_set import AdapterSet
from ..by_name import attach_by_name
from ..config import AdapterConfig
from ..layer import AdapterLayer
from ..named import exactly
from ..wrapping import path_without_wrappers

CONFIG = "adapter_config.json"
TENSORS = "adapter_model.safetensors"
PREFIX = "base_model.model."
_ORIGIN = frozenset(
    {"peft_type", "base_model_name_or_path", "revision", "task_type", "auto_mapping", "peft_version", "inference_mode"}
)
"""Fields that say where a file is from."""
_NAMES = frozenset(
    {
        "target_modules",
        "exclude_modules",
        "layers_to_transform",
        "layers_pattern",
        "modules_to_save",
        "fan_in_fan_out",
        "runtime_config",
    }
)
"""Fields that say nothing that the names of the tensors do not."""
_PLAIN = {
    "bias": (None, "none"),
    # The other starts change the base weights, which the file does not hold.
    "init_lora_weights": (None, True, False, "gaussian", "eva", "orthogonal"),
}
"""Values with which a field says nothing."""
Value = TypeVar("Value")
ByModule = dict[str, dict[str, Tensor]]
"""The tensors of a method by the module that they adapt, and by their names here."""


class Contents(NamedTuple):
    """What a method writes of a set: fields of PEFT's configuration, and tensors by their whole names in a file."""

    fields: dict[str, Any]
    tensors: dict[str, Tensor]


class Read(NamedTuple):
    """What a method makes of a file: the configuration of a set, and what the set holds."""

    config: AdapterConfig
    state: dict[str, Tensor]


class Method(NamedTuple):
    """A method of PEFT as a kind here.

    `what`: its name in messages; `layers`: the classes that its sets consist of; `fields`: those of its configuration
    that are known, beside what all methods have; `read` and `written`: there and back.
    """

    what: str
    layers: tuple[type[AdapterLayer], ...]
    fields: frozenset[str]
    read: Callable[[nn.Module, PeftFile], Read]
    written: Callable[[AdapterSet], Contents]


@dataclass(frozen=True)
class PeftFile:
    """A folder that was read: its configuration, and its tensors by their names without PEFT's prefix."""

    folder: str | Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Tensor]
    what: str = "PEFT"

    def check_fields(self, known: frozenset[str]) -> None:
        """Raise a `ModelError` where fields are set that are not known, or that make another variant of a method."""
        wrong: list[str] = []
        for key, value in sorted(self.config.items()):
            unknown = value and key not in known | _ORIGIN | _NAMES
            if unknown or (key in known and key in _PLAIN and value not in _PLAIN[key]):
                wrong.append(f"{key}={value!r}")
        if wrong:
            raise ModelError(f"{self.folder} is not plain {self.what}: {', '.join(wrong)} cannot be loaded")

    def by_module(self, parts: Mapping[str, str]) -> tuple[ByModule, dict[str, Tensor]]:
        """Tensors by the module that they adapt, and all others.

        Args:
            parts: names here by the ends of those in a file; each module must have all of them.

        Raises:
            ModelError: a module lacks one, or there is none.
        """
        found: ByModule = {}
        rest: dict[str, Tensor] = {}
        for key, value in self.tensors.items():
            end = next((end for end in parts if key.endswith(f".{end}")), None)
            if end is None:
                rest[key] = value
            else:
                found.setdefault(key.removesuffix(f".{end}"), {})[parts[end]] = value
        self.check_whole(found, len(parts), " or ".join(end.removesuffix(".weight") for end in parts))
        return found, rest

    def check_whole(self, found: ByModule, parts: int, what: str) -> None:
        """Raise a `ModelError` unless each module has so many tensors, and there is one."""
        lone = [path for path, tensors in found.items() if len(tensors) < parts]
        if lone or not found:
            raise ModelError(f"{self.folder} is not whole: {what} of {', '.join(lone) or 'any module'} is missing")

    def heads(self, model: nn.Module, rest: Mapping[str, Tensor]) -> dict[str, Any]:
        """The fields `heads` and `train_head` of a `NamedConfig`, from the tensors that adapt nothing.

        Heads are named for a model without an anatomy that says which its heads are: all modules that the file has in
        addition. Raises a `ModelError` where others than the heads of the anatomy are among these.
        """
        modules = sorted({key.rpartition(".")[0] for key in rest})
        options: dict[str, Any] = {"train_head": bool(rest), "heads": ()}
        try:
            sites = describe(model).heads
        except UnknownAnatomy:
            return options | {"heads": tuple(map(exactly, modules))}
        heads = [path_without_wrappers(unwrapped(model), site.path) for site in sites]
        foreign = [module for module in modules if not f"{module}.".startswith(tuple(f"{head}." for head in heads))]
        if foreign:
            known = ", ".join(heads) or "None"
            raise ModelError(
                f"{self.folder} holds {', '.join(foreign)}: in addition to {self.what} only the head ({known}) can be "
                "loaded"
            )
        return options


def read_folder(folder: str | Path) -> PeftFile:
    """What a folder holds. Raises `ModelError` where a file is missing or cannot be read."""
    folder = Path(folder)
    for file in (CONFIG, TENSORS):
        if not (folder / file).is_file():
            raise ModelError(f"{folder} has no {file}: it is not a checkpoint of PEFT with safe tensors")
    try:
        config = json.loads((folder / CONFIG).read_text(encoding="utf-8"))
        tensors = load_file(folder / TENSORS)
    except (json.JSONDecodeError, UnicodeDecodeError, SafetensorError) as error:
        raise ModelError(f"{folder} cannot be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{folder} cannot be read: its {CONFIG} holds no fields")
    return PeftFile(folder, config, {key.removeprefix(PREFIX): value for key, value in tensors.items()})


def write_folder(folder: str | Path, contents: Contents) -> None:
    """Write both files; the folder is made if it is not there."""
    written: dict[str, Tensor] = {}
    for key, value in contents.tensors.items():
        written[key] = value.detach().cpu().contiguous().clone()
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    save_file(written, folder / TENSORS, metadata={"format": "pt"})
    text = json.dumps(contents.fields, indent=2, sort_keys=True) + "\n"
    (folder / CONFIG).write_text(text, encoding="utf-8")


def with_head(adapters: AdapterSet, contents: Contents, method: str, base_model_name: str | None) -> Contents:
    """What a method writes, with the head of the set and the fields that every method has."""
    fields = {
        "peft_type": method,
        "task_type": None,
        "inference_mode": True,
        "base_model_name_or_path": base_model_name,
        "modules_to_save": list(adapters.named_heads()) or None,
    }
    tensors = {f"{PREFIX}{key}": value for key, value in adapters.head_state().items()}
    return Contents(fields | contents.fields, tensors | contents.tensors)


def one_for_all(what: str, values: Iterable[Value]) -> Value:
    """The value that all layers have. Raises a `ModelError` where they differ, since PEFT's file says one for all."""
    found = list(dict.fromkeys(values))
    if len(found) > 1:
        raise ModelError(
            f"the layers differ in {what} ({', '.join(map(str, found))}), of which a file of PEFT says one for all: "
            "attach them as several sets, and save each"
        )
    return found[0]


def attach_read(model: nn.Module, read: Read, name: str, folder: str | Path) -> AdapterSet:
    """Attach what a file holds; where its tensors do not fit, the model is as it was.

    Args:
        model: the model.
        read: configuration and state.
        name: of the set.
        folder: named in messages.

    Raises:
        ModelError: names or shapes do not fit.
    """
    adapters = attach_by_name(model, read.config, name)
    try:
        _check_shapes(adapters, read.state)
        adapters.load_state_dict(read.state)
    except ModelError as error:
        adapters.remove()
        raise ModelError(f"{folder} does not fit this {type(model).__name__}: {error}") from error
    return adapters


def _check_shapes(adapters: AdapterSet, state: Mapping[str, Tensor]) -> None:
    """Here a narrower factor, which loading would take for one that has lost units, is an error."""
    for key, value in adapters.state_dict().items():
        if key in state and state[key].shape != value.shape:
            raise ModelError(f"{key} has shape {tuple(value.shape)}, not {tuple(state[key].shape)} as given")
