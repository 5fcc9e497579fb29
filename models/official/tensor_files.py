"""Files of tensors of others, read without running anything that is in them."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import torch
from torch import Tensor

from ..errors import ModelError

STATES = ("state_dict", "model", "model_state")
"""Keys under which training programs put the weights into a file that holds more."""
Readers = dict[str, Callable[[], Tensor]]


class Opened(NamedTuple):
    """A file of tensors. `readers`: by name, what reads one; `beside`: what else there is, as the epoch."""

    readers: Readers
    beside: dict[str, Any]


def open_tensors(file: Path) -> Opened:
    """The tensors of a file: safetensors, arrays of numpy (`.npz`), or else what `torch.save` wrote.

    Args:
        file: its path.

    Raises:
        ModelError: it is not there, damaged, or holds more than tensors, plain values and the options of a training
            program (which could run code).
    """
    if not file.is_file():
        raise ModelError(f"{file} is missing: copy the whole checkpoint")
    if file.suffix == ".safetensors":
        return Opened(_of_safetensors(file), {})
    if file.suffix == ".npz":
        return Opened(_of_npz(file), {})
    return _of_pickle(file)


def _of_pickle(file: Path) -> Opened:
    held = _unpickled(file)
    state = held
    beside: dict[str, Any] = {}
    for key in STATES:
        if isinstance(held.get(key), Mapping):
            state = held[key]
            beside = {name: value for name, value in held.items() if name != key}
            break
    for name, value in state.items():
        if not isinstance(value, Tensor):
            raise ModelError(f"{file} holds {name!r}, a {type(value).__name__}, where a tensor was expected")
    return Opened({name: value.detach for name, value in state.items()}, beside)


def _unpickled(file: Path) -> dict[str, Any]:
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # has attributes and runs nothing
            held = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = named[1] if named else "what torch reads as no weights"
        raise ModelError(f"{file} holds more than tensors, which is not read as it could run code: {what}") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise _damaged(file, error) from error
    if not isinstance(held, dict):
        raise ModelError(f"{file} holds a {type(held).__name__}, not a dictionary of tensors")
    return held


def _of_safetensors(file: Path) -> Readers:
    from safetensors import SafetensorError, safe_open

    def reader(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            with safe_open(file, framework="pt") as opened:
                return opened.get_tensor(name)

        return read

    try:
        with safe_open(file, framework="pt") as opened:
            names = list(opened.keys())
    except SafetensorError as error:
        raise _damaged(file, error) from error
    return {name: reader(name) for name in names}


def _of_npz(file: Path) -> Readers:
    import numpy as np

    def reader(name: str) -> Callable[[], Tensor]:
        def read() -> Tensor:
            try:
                with file.open("rb") as stream, np.load(stream, allow_pickle=False) as opened:
                    return torch.from_numpy(opened[name])
            except (OSError, ValueError, TypeError, zipfile.BadZipFile, zlib.error) as error:
                raise ModelError(f"{name} of {file} is damaged, or no array of numbers: {error}") from error

        return read

    try:
        with file.open("rb") as stream, np.load(stream, allow_pickle=False) as opened:
            names = list(opened.files)
    except (OSError, ValueError, TypeError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise _damaged(file, error) from error
    return {name: reader(name) for name in names}


def _damaged(file: Path, error: Exception) -> ModelError:
    return ModelError(f"{file} is damaged or cut short ({error}): copy it again")
