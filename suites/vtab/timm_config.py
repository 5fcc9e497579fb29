"""`config.json` beside a file of weights, as timm writes it: how the images of that network were prepared.

timm's `save_for_hf` and its hub have the fields under `pretrained_cfg`; files before timm 0.9 have them at the top.
"""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from sparsebench.data.errors import WeightsError

CONFIG = "config.json"
INTERPOLATIONS = ("bilinear", "bicubic")


class Beside(NamedTuple):
    """What stands beside a file of weights.

    Attributes:
        fields: `mean`, `std`, `interpolation` and `input_size`, those of them that count.
        said: what the record says of it; empty where no file of timm is there.
        size: the side of the images that the weights were trained on, in pixels.
    """

    fields: Mapping[str, Any] = {}
    said: str = ""
    size: int | None = None


def config_beside(weights: Path, name: str, given: int | None) -> Beside:
    """What timm's `config.json` in the folder of the weights says of the images.

    Args:
        weights: the file.
        name: of the network. A file that is of another one is left alone, since a folder may hold several weights.
        given: the side of the images that the user gave; it counts, and not the file's.

    Returns:
        The fields to take in place of the network's own.

    Raises:
        WeightsError: the file is no JSON, or one of its fields cannot be what it is called.
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
    return _with_size(fields, given)


def _with_size(fields: dict[str, Any], given: int | None) -> Beside:
    size = fields["input_size"][-1] if "input_size" in fields else None
    kept = fields
    conflict = ""
    if given is not None:
        kept = {field: value for field, value in fields.items() if field != "input_size"}
    if given is not None and size not in (None, given):
        conflict = f"size as given, where {CONFIG} says {size}"
    taken = f"{_listed(kept)} of {CONFIG} beside the weights" if kept else ""
    return Beside(kept, ", ".join(filter(None, (taken, conflict))), size)


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
