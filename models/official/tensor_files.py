"""Files of tensors of others, read without running anything that is in them."""

from __future__ import annotations

import argparse
import pickle
import re
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from ..errors import ModelError


def load_tensors(file: Path) -> dict[str, Any]:
    """What `torch.save` wrote, if it is a dictionary of tensors, plain values and the options of a training program.

    Args:
        file: its path.

    Raises:
        ModelError: it holds anything else (which could run code), or is damaged.
    """
    try:
        with torch.serialization.safe_globals([argparse.Namespace]):  # has attributes and runs nothing
            held = torch.load(file, map_location="cpu", weights_only=True, mmap=zipfile.is_zipfile(file))
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL (\S+)", str(error))
        what = named[1] if named else "what torch reads as no weights"
        raise ModelError(f"{file} holds more than tensors, which is not read as it could run code: {what}") from error
    except (RuntimeError, EOFError, OSError, ValueError, LookupError, TypeError) as error:
        raise ModelError(f"{file} is damaged or cut short ({error}): copy it again") from error
    if not isinstance(held, dict):
        raise ModelError(f"{file} holds a {type(held).__name__}, not a dictionary of tensors")
    return held


def safetensors_readers(file: Path) -> dict[str, Callable[[], Tensor]]:
    """By name, what reads one tensor of a safetensors file. Raises `ModelError` for a damaged one."""
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
        raise ModelError(f"{file} is damaged or cut short ({error}): copy it again") from error
    return {name: reader(name) for name in names}


def npz_readers(file: Path) -> dict[str, Callable[[], Tensor]]:
    """By name, what reads one array of a file of numpy's. Raises `ModelError` for one that is damaged."""
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
        raise ModelError(f"{file} is damaged or cut short ({error}): copy it again") from error
    return {name: reader(name) for name in names}
