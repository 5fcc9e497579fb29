"""A checkpoint as the code of a paper left it: its configuration, and tensors each of which is taken once."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from torch import Tensor, nn

from ..errors import ModelError
from ..hub.own_folders import check_same, put_all, state_of
from .tensor_files import open_tensors

INDICES = ("model.safetensors.index.json", "pytorch_model.bin.index.json")
WHOLE = ("model.safetensors", "pytorch_model.bin")
"""Files of weights, in the order in which they are looked for: safetensors before pickles."""


class Built(NamedTuple):
    """What a layout makes of a checkpoint.

    `model` is on the CPU, in eval mode. `unknown`: sentences on what the checkpoint cannot tell and was taken to be so.
    """

    model: nn.Module
    unknown: tuple[str, ...] = ()


class Place(NamedTuple):
    """Where a tensor of ours comes from: its official name and its shape there, None if that is ours."""

    name: str
    shape: tuple[int, ...] | None = None


class Checkpoint:
    """A folder with a `config.json` and weights in safetensors or `.bin` files, or one file that `torch.save` or
    `numpy.savez` wrote.

    Nothing in it is executed: pickles are read by torch's reader of weights alone, which refuses all else.

    Args:
        place: the folder or file.

    Attributes:
        place: that.
        config: what `config.json` says; empty for a file.
        beside: what a file holds in addition to weights: the epoch, the temperature of its attention, ...

    Raises:
        ModelError: it is not there, not whole, damaged, or holds code.
    """

    def __init__(self, place: str | Path) -> None:
        self.place = Path(place)
        self.config: dict[str, Any] = {}
        self.beside: dict[str, Any] = {}
        self._readers: dict[str, Callable[[], Tensor]] = {}
        self._taken: set[str] = set()
        if self.place.is_dir():
            self.config = read_config(self.place)
            self._open_folder()
        elif self.place.is_file():
            self._add(self.place)
        else:
            raise ModelError(f"{self.place} is neither a folder nor a file")

    def __contains__(self, name: str) -> bool:
        return name in self._readers

    def names(self, prefix: str = "") -> list[str]:
        """Names of tensors that begin with `prefix`, sorted, taken or not."""
        return sorted(name for name in self._readers if name.startswith(prefix))

    def required(self, key: str) -> Any:
        """A value of the configuration. Raises `ModelError` where it is not there."""
        if key not in self.config:
            raise ModelError(f"the config.json of {self.place} does not say {key}: it is of another layout")
        return self.config[key]

    def check_values(self, wanted: Mapping[str, Any]) -> None:
        """Refuse what the official code can do and published checkpoints do not.

        Args:
            wanted: the value of each key that is known here; an absent key counts as that.

        Raises:
            ModelError: a key has another value.
        """
        for key, value in wanted.items():
            found = self.config.get(key, value)
            if found != value:
                raise ModelError(f"{self.place} says {key}={found!r}; only {value!r} is known here")

    def take(self, name: str, *shape: int) -> Tensor:
        """A tensor, which counts as read.

        Args:
            name: in the file.
            shape: that it must have; none given: any.

        Raises:
            ModelError: there is none of this name, or it has another shape.
        """
        if name not in self._readers:
            raise ModelError(f"{self.place} has no tensor {name}: it is not whole, or of another layout")
        tensor = self._readers[name]()
        if shape and tuple(tensor.shape) != shape:
            raise ModelError(f"in {self.place}, {name} has the shape {tuple(tensor.shape)}; {shape} was expected")
        self._taken.add(name)
        return tensor

    def drop(self, name: str) -> None:
        """Count a tensor as read that follows from the configuration; there need not be one."""
        self._taken.add(name)

    def fill(self, model: nn.Module, places: Mapping[str, Place], made: Mapping[str, Tensor]) -> None:
        """Give a model its tensors.

        Args:
            model: which may be on the meta device.
            places: by our names; a tensor of another shape there is read row by row into ours.
            made: tensors that were taken before, or come from nowhere, by our names.

        Raises:
            ModelError: a tensor is missing or of another shape, here or there.
        """
        tensors = dict(made)
        wanted = state_of(model)
        for ours, place in places.items():
            shape = tuple(wanted[ours].shape)
            tensors[ours] = self.take(place.name, *(place.shape or shape)).reshape(shape)
        check_same(tensors, model, f"{self.place} does not fit its configuration")
        put_all(model, tensors)

    def finish(self) -> None:
        """Raise a `ModelError` if a tensor was neither taken nor dropped."""
        left = sorted(self._readers.keys() - self._taken)
        if left:
            raise ModelError(
                f"{len(left)} tensors of {self.place} have no place in the model, {left[0]} for one: the checkpoint is "
                "of another layout, or of a version of it that is not known here"
            )

    def _open_folder(self) -> None:
        for name in INDICES:
            if (self.place / name).is_file():
                self._open_shards(name)
                return
        for name in WHOLE:
            if (self.place / name).is_file():
                self._add(self.place / name)
                return
        raise ModelError(f"{self.place} has no weights: none of {', '.join((*INDICES, *WHOLE))}")

    def _open_shards(self, index: str) -> None:
        listed = read_index(self.place / index)
        for file in sorted(set(listed.values())):
            self._add(self.place / file)
        absent = sorted(listed.keys() - self._readers.keys())
        if absent:
            raise ModelError(f"{listed[absent[0]]} lacks {absent[0]}, which {index} says is in it: copy it again")

    def _add(self, file: Path) -> None:
        opened = open_tensors(file)
        self.beside |= opened.beside
        for name, reader in opened.readers.items():
            if name in self._readers:
                raise ModelError(f"{file} holds {name}, which another file of the checkpoint holds, too")
            self._readers[name] = reader


def read_config(folder: Path) -> dict[str, Any]:
    """What the `config.json` of a folder says. Raises `ModelError` where there is none, or it is damaged."""
    if not (folder / "config.json").is_file():
        raise ModelError(f"{folder} has no config.json: it is no checkpoint of a model")
    return read_json(folder / "config.json")


def read_index(file: Path) -> dict[str, str]:
    """Tensor to the file that holds it, by the index of a checkpoint of several files.

    Args:
        file: the index.

    Raises:
        ModelError: it is damaged, or names what is no file of its folder.
    """
    listed = read_json(file).get("weight_map")
    if not isinstance(listed, dict) or not all(isinstance(name, str) for name in listed.values()):
        raise ModelError(f"{file} is damaged: it has no weight_map from tensors to files")
    for name in sorted(set(listed.values())):
        if Path(name).name != name:
            raise ModelError(f"{file} names {name!r}, which is no file of its folder")
    return listed


def read_json(file: Path) -> dict[str, Any]:
    """The object in a JSON file. Raises `ModelError` for anything else."""
    try:
        found = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{file} cannot be read: {error}") from error
    if not isinstance(found, dict):
        raise ModelError(f"{file} is damaged: it holds a {type(found).__name__}, not an object")
    return found
