"""Safetensors files of weights, read whole or refused: nothing missing, nothing unknown, no other shape, all finite."""

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .errors import WeightsError, reason_of

if TYPE_CHECKING:
    from torch import Tensor


def read_state(file: Path, expected: "Mapping[str, Tensor]", without: tuple[str, ...] = ()) -> "dict[str, Tensor]":
    """The tensors of a file, which must have the names and shapes of a state dict.

    Args:
        file: in safetensors' format.
        expected: a state dict.
        without: names that begin with one of these (a head that is not used) may be there or not, and are not given.

    Returns:
        Tensors by name.

    Raises:
        WeightsError: the message names the file and the first tensor that is wrong.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    check_header(file)
    try:
        found = load_file(file)
    except (SafetensorError, OSError, ValueError) as error:
        raise WeightsError(f"{file} cannot be read as safetensors: {reason_of(error)}") from error
    wanted = {name: tensor for name, tensor in expected.items() if not name.startswith(without)}
    state = {name: tensor for name, tensor in found.items() if not name.startswith(without)}
    _compare(file, state, wanted)
    check_finite(str(file), state.items())
    return state


def check_header(file: Path) -> None:
    """Look at the header of a safetensors file. A file with another ending that has no such header is said to be one.

    Args:
        file: the file.

    Raises:
        WeightsError: a header that is cut, is no JSON, or names a tensor twice (the last would win).
    """
    try:
        with file.open("rb") as stream:
            length = int.from_bytes(stream.read(8), "little")
            if length > file.stat().st_size and file.suffix != ".safetensors":
                raise WeightsError(
                    f"{file} is no safetensors file, which is wanted here: of one that torch wrote, make it by "
                    f"safetensors.torch.save_file(torch.load({file.name!r}, weights_only=True), 'weights.safetensors')"
                )
            if length > file.stat().st_size:
                raise WeightsError(f"{file} is cut or damaged: a header of {length} bytes is announced")
            json.loads(stream.read(length), object_pairs_hook=lambda pairs: _once(file, pairs))
    except WeightsError:
        raise
    except (OSError, ValueError, RecursionError) as error:
        raise WeightsError(f"{file} cannot be read as safetensors: {reason_of(error)}") from error


def check_finite(name: str, tensors: "Iterable[tuple[str, Tensor]]") -> None:
    """Look for numbers that are not finite.

    Args:
        name: what they are of, for the error.
        tensors: by name.

    Raises:
        WeightsError: the first tensor with such a number.
    """
    for key, tensor in tensors:
        if tensor.is_floating_point() and not tensor.isfinite().all():
            raise WeightsError(f"{name}: tensor {key!r} holds numbers that are not finite")


def _once(file: Path, pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise WeightsError(f"{file}: {twice!r} comes twice in the header")
    return found


def _compare(file: Path, state: "Mapping[str, Tensor]", wanted: "Mapping[str, Tensor]") -> None:
    for name, tensor in wanted.items():
        if name not in state:
            raise WeightsError(f"{file}: tensor {name!r} is missing")
        if state[name].shape != tensor.shape:
            raise WeightsError(
                f"{file}: tensor {name!r} has the shape {tuple(state[name].shape)}, not {tuple(tensor.shape)}"
            )
        if state[name].is_floating_point() != tensor.is_floating_point():
            raise WeightsError(f"{file}: tensor {name!r} is {state[name].dtype}, not {tensor.dtype}")
    for name in state:
        if name not in wanted:
            raise WeightsError(f"{file}: tensor {name!r} is none of this model")
