"""Photographs of objects, cut out: those of Tux Paint's stamps (Debian's tuxpaint-stamps-default) that are no drawings.

Which stamps are photographs is measured (`is_photograph`), once: `manifest/tuxpaint-stamps.toml` pins those of the
folders in `KINDS` that are, in 2025.03.31-1. Stamps of one name but for what follows its first word (apple_red,
apple_green) show the same thing or nearly so, and are in the same part.
"""

import re
from collections.abc import Mapping, Sequence
from hashlib import sha256
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, NamedTuple

from ..cache.ledger import cached_reads
from ..errors import DataError, reason_of
from ..sources import path, source

if TYPE_CHECKING:
    import numpy as np

SOURCE = "tuxpaint-stamps"
PARTS = {"train": 2, "val": 1, "test": 3}
"""Sixths of a kind's stamps that each part gets, as nearly as stamps that stay together allow."""
_MAMMALS = ("apes", "aquatic", "bears", "bovines", "camel", "cats", "deer", "dogs", "equines", "lagomorphs", "rodents")
_MUSIC = ("brass", "percussion", "string", "wind")
_VEHICLES = (
    *("auto", "construction", "cycle", "emergency", "flight", "flight/planes"),
    *("masstransit", "race", "ship"),
)
KINDS: Mapping[str, Sequence[str]] = {
    "bird": ("animals/birds",),
    "mammal": ("animals/mammals", *(f"animals/mammals/{name}" for name in _MAMMALS), "animals/marsupials"),
    "sea animal": ("animals/fish", "animals/shellfish"),
    "food": ("food", *(f"food/{name}" for name in ("dessert", "fruit", "nuts", "spices", "vegetables"))),
    "flower": ("plants/flowers",),
    "plant": ("plants", "plants/trees", "plants/mushrooms"),
    "vehicle": ("vehicles", *(f"vehicles/{name}" for name in _VEHICLES), "military/vehicles"),
    "tool": ("household/tools", "household/arttools", "household", "household/dishes", "household/dishes/utensils"),
    "instrument": tuple(f"hobbies/music/{name}" for name in _MUSIC),
}
"""Folders of the package by the kind of object."""
LONGEST = 60
"""Pixels along the longer side that a stamp has at least, so that no kind is known by how blurred it is."""


class Stamp(NamedTuple):
    """A cut-out: its name, its kind, and pixels uint8 (H, W, 4), opacity last, without empty margins."""

    name: str
    kind: str
    pixels: "np.ndarray"


def is_photograph(pixels: "np.ndarray") -> bool:
    """Whether a picture is a photographed object that was cut out, and large enough.

    It is transparent at a fiftieth of its pixels and opaque at a tenth or more; of opaque neighbours in a row at most
    half are of the same colour; and the colours of opaque pixels, at 5 bits a channel, have 4 bits of entropy or more.

    Args:
        pixels: (H, W, 4), uint8, without empty margins.

    Returns:
        False too for a drawing and for a mere light.
    """
    import numpy as np

    opaque = pixels[..., 3] > 250
    fraction = opaque.mean()
    if max(opaque.shape) < LONGEST or fraction < 0.1 or (pixels[..., 3] < 5).mean() < 0.02:
        return False
    pairs = opaque[:, 1:] & opaque[:, :-1]
    equal = (pixels[:, 1:, :3] == pixels[:, :-1, :3]).all(-1)
    red, green, blue = (pixels[opaque][:, :3] >> 3).astype(int).T
    counts = np.bincount(red << 10 | green << 5 | blue)
    chances = counts[counts > 0] / opaque.sum()
    entropy = -(chances * np.log2(chances)).sum()
    return bool(equal[pairs].mean() <= 0.5 and entropy >= 4)


def read_stamp(file: Path) -> "np.ndarray":
    """A picture as uint8 (H, W, 4) without empty margins.

    Args:
        file: a PNG.

    Raises:
        DataError: it cannot be read, or is empty.
    """
    import numpy as np
    from PIL import Image

    try:
        with Image.open(file) as image:
            whole = image.convert("RGBA")
    except (OSError, SyntaxError, ValueError) as error:
        raise DataError(f"{file.name} is no readable picture ({reason_of(error)})") from error
    visible = np.asarray(whole.getchannel("A")) > 4
    box = Image.fromarray(visible).getbbox()
    if box is None:
        raise DataError(f"{file.name} is empty")
    return np.asarray(whole.crop(box))


def kind_of(folder: str) -> str | None:
    """The kind of what lies in a folder of the package; None for a folder that is not used."""
    return next((kind for kind, folders in KINDS.items() if folder in folders), None)


def parted(names: Sequence[str]) -> dict[str, list[str]]:
    """Names of one kind by part; which is where depends on the names alone.

    Args:
        names: of stamps.

    Returns:
        The names of each of `PARTS`, in the order in which they were dealt.
    """
    kin: dict[str, list[str]] = {}
    for name in sorted(names):
        first = re.split(r"[-_.\d]", PurePosixPath(name).name.lower().lstrip("-_.0123456789"))[0]
        kin.setdefault(first, []).append(name)
    dealt: dict[str, list[str]] = {part: [] for part in PARTS}
    total = sum(PARTS.values())
    for first in sorted(kin, key=lambda word: (-len(kin[word]), sha256(word.encode()).hexdigest())):
        part = max(PARTS, key=lambda part: PARTS[part] * len(names) - total * len(dealt[part]))
        dealt[part].extend(kin[first])
    return dealt


@cached_reads(maxsize=1)
def stamps() -> dict[str, dict[str, list[Stamp]]]:
    """The stamps of each part by kind: `stamps()["train"]["bird"]`.

    Returns:
        Parts of `PARTS`, kinds of `KINDS`.

    Raises:
        DataError: the package cannot be had, or holds a picture that cannot be read.
    """
    names: dict[str, list[str]] = {kind: [] for kind in KINDS}
    root = source(SOURCE).paths["stamps"]
    for entry in source(SOURCE).files:
        if entry.name.endswith(".png"):
            name = PurePosixPath(entry.name).relative_to(root)
            kind = kind_of(str(name.parent))
            if kind is None:
                raise DataError(f"{SOURCE}: {name} is of no kind; kinds: {', '.join(KINDS)}")
            names[kind].append(str(name))
    found: dict[str, dict[str, list[Stamp]]] = {part: {} for part in PARTS}
    for kind in KINDS:
        for part, own in parted(names[kind]).items():
            found[part][kind] = [_stamp(name, kind) for name in own]
    return found


def _stamp(name: str, kind: str) -> Stamp:
    return Stamp(name, kind, read_stamp(path(SOURCE, "stamps", below=name)))
