"""The weights on this machine that a backbone's argument names, and what identifies them.

`hf:FOLDER` names every file below the folder but hidden ones (weights in any format, configuration, tokenizer),
`timm:NAME@FILE` and `timm:NAME@FILE:SIZE` that file and the `config.json` beside it, `hf:OWNER/NAME@REVISION` a commit
of the hub. A hub name that is not here yet is "unpinned" until `prepare` or `run` fetches it.
"""

import re
from collections.abc import Iterable, Mapping
from pathlib import Path

from sparsebench.data import hub
from sparsebench.data.cache.digests import digest_once
from sparsebench.data.errors import DataError, near_path

from ..discovery.closure import files_below
from ..discovery.registry import Entry
from ..errors import UsageError

UNPINNED = "unpinned"
CONFIG = "config.json"
"""What says of a single file of weights how its inputs are prepared."""
HUB_NAME = re.compile(r"\w[\w.-]*(/[\w.-]+)?(@.+)?")


def any_unpinned(weights: Mapping[str, Mapping[str, str]]) -> bool:
    """Whether one of a cell's backbones is of a hub and was not on this machine when the cell was planned."""
    return any(named.get("commit") == UNPINNED for named in weights.values())


def weight_files(backbone: str) -> dict[str, Path]:
    """The files that the argument of `name:argument` names, by their names below what it names.

    Beside a single file its configuration counts, too.
    """
    text = named_place(backbone)
    place = Path(text).expanduser()
    if text and place.is_file():
        return {file.name: file for file in (place, place.with_name(CONFIG)) if file.is_file()}
    return {str(path.relative_to(place)): path for path in files_below(place)} if text else {}


def named_place(backbone: str) -> str:
    """The part of `name:argument` that names a file or a folder which is there; empty where none does."""
    argument = backbone.partition(":")[2]
    file = argument.partition("@")[2]
    for text in (argument, file, file.rpartition(":")[0]):
        if text and Path(text).expanduser().exists():
            return text
    return ""


def weights_identity(entry: Entry, backbone: str) -> Mapping[str, str]:
    """Checksums of the files that the argument names, or the commit of a hub name.

    Raises `UsageError` for a folder or file that there is not.
    """
    files = weight_files(backbone)
    if not files and _is_on_hub(entry, backbone):
        _refuse_missing_path(backbone)
        return {"commit": hub.commit(backbone.partition(":")[2]) or UNPINNED}
    return {name: digest_once(path) for name, path in files.items()}


def fetch_from_hub(backbones: Iterable[tuple[Entry, str]]) -> bool:
    """Fetch the hub names that are not on this machine, so that their commits are known; whether there were any.

    Raises `DataError`, which says of a name that cannot be fetched that there is no such folder either.
    """
    fetched = False
    for entry, backbone in backbones:
        argument = backbone.partition(":")[2]
        if not weight_files(backbone) and _is_on_hub(entry, backbone) and hub.folder_here(argument) is None:
            try:
                hub.fetch(argument)
            except DataError as error:
                raise type(error)(
                    f"{backbone}: there is no folder {argument}{near_path(Path(argument).expanduser())}, and {error}"
                ) from error
            fetched = True
    return fetched


def mend_hub(weights: Iterable[Mapping[str, Mapping[str, str]]]) -> None:
    """Fetch again what is broken in the hub's cache of the weights that cells name. Raises `DataError`."""
    on_hub: set[str] = set()
    for named in weights:
        on_hub |= {backbone for backbone, identity in named.items() if "commit" in identity}
    for backbone in sorted(on_hub):
        hub.mend(backbone.partition(":")[2])


def _refuse_missing_path(backbone: str) -> None:
    """Names of the hub have one slash at most and begin with a letter or a digit; all else can only be a path."""
    argument = backbone.partition(":")[2]
    if HUB_NAME.fullmatch(argument):
        return
    place = Path(argument).expanduser()
    what = "is empty" if place.is_dir() else "does not exist"
    raise UsageError(f"{backbone}: the folder {place} {what}{near_path(place)}")


def _is_on_hub(entry: Entry, backbone: str) -> bool:
    return bool(backbone.partition(":")[2]) and entry.constant("HUB", False)
