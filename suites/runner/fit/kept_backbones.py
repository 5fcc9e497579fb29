"""Files of the user's that a fitted row's backbones name, kept beside it, so that it opens where they are not.

A fitted row has all of its tensors, but how its backbone is built and how its inputs are prepared (a tokenizer, say) is
in these files, and methods look at its first weights while they prepare it. What packages have is fetched as ever.
"""

import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from ..discovery.parts import Parts
from ..errors import UsageError
from ..identity.weights import named_place, weight_files

FOLDER = "backbones"
MOST_BYTES = 2 << 30
"""Of the files of one backbone: larger ones stay where they are."""
Kept = Mapping[str, list[str]]
"""By the name of a backbone in its cell: what stands before the path in it, the kept path, what stands behind."""


class Keeping(NamedTuple):
    """What was copied, and a line for each backbone that the folder alone does not make."""

    kept: dict[str, list[str]]
    said: list[str]


def keep_backbones(parts: Parts, folder: Path) -> Keeping:
    """Copy what the backbones of a row name by a path into its folder.

    Args:
        parts: of its cell.
        folder: of the fitted row.

    Returns:
        What the description of the row keeps, and what there is to say.

    Raises:
        UsageError: the copies cannot be written.
    """
    found = Keeping({}, [])
    for number, (entry, name) in enumerate(parts.backbones):
        files = weight_files(name)
        size = sum(file.stat().st_size for file in files.values())
        if size > MOST_BYTES:
            found.said.append(f"`predict` needs the files of {name} where they are: {size / 1e9:.1f} GB are not copied")
        elif files:
            found.kept[name] = _copied(name, files, folder, f"{FOLDER}/{number}")
        elif entry.constant("SOURCES", ()) or (":" in name and entry.constant("HUB", False)):
            found.said.append(f"`predict` needs the weights of {name}, too, and fetches them where they are not cached")
    return found


def own_name(name: str, kept: Kept, folder: Path) -> str:
    """The name of a backbone with the kept files in the place of those that it names.

    Args:
        name: as the cell has it.
        kept: what the description says.
        folder: of the fitted row.
    """
    if name not in kept:
        return name
    before, path, behind = kept[name]
    return f"{before}{folder / path}{behind}"


def _copied(name: str, files: Mapping[str, Path], folder: Path, below: str) -> list[str]:
    place = named_place(name)
    before, _, behind = name.partition(place)
    try:
        for inner, file in files.items():
            (folder / below / inner).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, folder / below / inner)
    except OSError as error:
        raise UsageError(f"{folder / below} cannot be written: {error.strerror or error}") from error
    single = Path(place).expanduser().is_file()
    return [before, f"{below}/{Path(place).name}" if single else below, behind]
