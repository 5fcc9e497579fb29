"""`config.json` beside a file of weights, as timm writes it: with what the network was built, how images were prepared.

timm's `save_for_hf` and its hub have the fields of images under `pretrained_cfg`; files before timm 0.9 have them at
the top. `model_args` are what the network was built with; older files have its `global_pool` alone, at the top.
"""

import inspect
import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import timm
from timm.models import build_model_with_cfg

from sparsebench.data.errors import WeightsError

CONFIG = "config.json"
INTERPOLATIONS = ("bilinear", "bicubic")
FIXED = ("num_classes", "in_chans", "img_size")
"""Arguments that the backbone settles itself: the head goes, images have three channels, and the size may be given."""


class Beside(NamedTuple):
    """What stands beside a file of weights.

    Attributes:
        fields: `mean`, `std`, `interpolation` and `input_size`, those of them that count.
        said: what the record says of it; empty where no file of timm is there.
        size: the side of the images that the weights were trained on, in pixels.
        arguments: what `timm.create_model` needs beside the name.
    """

    fields: Mapping[str, Any] = {}
    said: str = ""
    size: int | None = None
    arguments: Mapping[str, Any] = {}


def config_beside(weights: Path, name: str, given: int | None) -> Beside:
    """What timm's `config.json` in the folder of the weights says of the network and the images.

    Args:
        weights: the file.
        name: of the network. A file that is of another one is left alone, since a folder may hold several weights.
        given: the side of the images that the user gave; it counts, and not the file's.

    Returns:
        The fields to take in place of the network's own, and the arguments to build it with.

    Raises:
        WeightsError: the file is no JSON, one of its fields cannot be what it is called, or an argument is none of a
            network.
    """
    place = weights.parent / CONFIG
    if not place.is_file():
        return Beside()
    written = _read(place)
    found = written.get("pretrained_cfg", written)
    architecture = written.get("architecture")
    if not isinstance(architecture, str) or not isinstance(found, dict):
        return Beside()  # of another library
    if architecture.partition(".")[0] != name.partition(".")[0]:
        return Beside(said=f"{CONFIG} beside the weights is of {architecture} and was not read")
    fields = {field: check(found[field]) for field, check in CHECKS.items() if found.get(field) is not None}
    wrong = sorted(field for field, value in fields.items() if value is None)
    if "input_size" in fields and "input_size" not in wrong and not _is_square(fields["input_size"]):
        wrong.append("input_size, since images here are square")
    if wrong:
        raise WeightsError(f"{place} says of images what cannot be: {', '.join(wrong)}")
    return _with_size(fields, given, _arguments(written, place))


def _arguments(written: dict[str, Any], place: Path) -> dict[str, Any]:
    found = written.get("model_args", {})
    if not isinstance(found, dict):
        raise WeightsError(f"{place} says of the network what cannot be: model_args")
    others = {*inspect.signature(timm.create_model).parameters, *inspect.signature(build_model_with_cfg).parameters}
    wrong = sorted(name for name in found if name in others | {"features_only"})
    if wrong:
        raise WeightsError(f"{place} has in model_args what is no argument of a network: {', '.join(wrong)}")
    pooling = {"global_pool": written["global_pool"]} if written.get("global_pool") else {}
    return pooling | {name: value for name, value in found.items() if name not in FIXED}


def _with_size(fields: dict[str, Any], given: int | None, arguments: dict[str, Any]) -> Beside:
    size = fields["input_size"][-1] if "input_size" in fields else None
    kept = fields
    conflict = ""
    if given is not None:
        kept = {field: value for field, value in fields.items() if field != "input_size"}
    if given is not None and size not in (None, given):
        conflict = f"size as given, where {CONFIG} says {size}"
    taken = f"{_listed(kept)} of {CONFIG} beside the weights" if kept else ""
    built = f"built with {', '.join(arguments)} as {CONFIG} says" if arguments else ""
    return Beside(kept, ", ".join(filter(None, (taken, conflict, built))), size, arguments)


def _listed(fields: Mapping[str, Any]) -> str:
    names = [field.replace("input_size", "size") for field in fields]
    return ", ".join(names[:-1]) + (" and " if names[1:] else "") + names[-1]


def _read(place: Path) -> dict[str, Any]:
    try:
        written = json.loads(place.read_text())
    except (OSError, ValueError) as error:
        raise WeightsError(f"{place} beside the weights cannot be read: {error}") from error
    return written if isinstance(written, dict) else {}


def _channels(value: Any) -> list[float] | None:
    if isinstance(value, list) and len(value) == 3 and all(isinstance(one, int | float) for one in value):
        return value if all(math.isfinite(one) for one in value) else None
    return None


def _positive(value: Any) -> list[float] | None:
    found = _channels(value)
    return found if found and min(found) > 0 else None


def _size(value: Any) -> list[int] | None:
    """(3, height, width)."""
    if isinstance(value, list) and len(value) == 3 and all(type(one) is int and one > 0 for one in value):
        return value if value[0] == 3 else None
    return None


def _is_square(size: list[int]) -> bool:
    return size[1] == size[2]


def _interpolation(value: Any) -> str | None:
    return value if value in INTERPOLATIONS else None


CHECKS = {"mean": _channels, "std": _positive, "interpolation": _interpolation, "input_size": _size}
"""What each field must be, or None."""
