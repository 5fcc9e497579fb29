"""What a cell reads: weights that must still be those of its plan, and what was read, for its record.

Sources and what is derived from them are verified where they are read (`sparsebench.data`), which notes them in a
ledger. Here the ledger of one cell becomes the `data` of its record.
"""

import hashlib
import sys
from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from sparsebench.data import hub
from sparsebench.data.cache.digests import digest_once
from sparsebench.data.cache.ledger import FileRead, note
from sparsebench.data.errors import ChecksumError
from sparsebench.data.identity import identity
from sparsebench.data.sources import catalogue, source
from sparsebench.reports.records.record import DataInfo, FileInfo

from ..identity.cell import Cell
from ..identity.weights import UNPINNED, weight_files

MOST_FILES = 20
"""Files of one folder that are listed one by one; a folder with more becomes one line with the digest of their list."""
DERIVED = "derived/"
_NATIVE_MODULES = {
    "native/experts": "sparsebench.models.moe.experts.native",
    "native/packed": "sparsebench.models.compression.quantisation.packed.kernels.native",
}


class UndeclaredDataError(RuntimeError):
    """A cell read a source that no part of it declares, so that its identity does not cover it."""


def declared(cell: Cell) -> list[DataInfo]:
    """The sources of a cell, none of them read."""
    return [_source_info(name, name) for name in cell.sources]


def verify_weights(cell: Cell) -> None:
    """Raises `ChecksumError` when the weights that the cell names are not those that it was planned with."""
    for backbone, planned in cell.weights.items():
        if planned.get("commit") == UNPINNED:
            continue  # it could not be fetched when the run was planned: loading will say so
        if "commit" in planned:
            _verify_commit(backbone, planned["commit"])
        else:
            _verify_files(backbone, planned)


def _verify_files(backbone: str, planned: Mapping[str, str]) -> None:
    found = weight_files(backbone)
    for name in sorted(planned.keys() | found.keys()):
        problem = None
        if name not in found:
            problem = "is gone"
        elif name not in planned:
            problem = "has come"
        elif digest_once(found[name]) != planned[name]:
            problem = "has another content"
        if problem:
            raise ChecksumError(
                f"{backbone}: {name} {problem} since the run was planned: give the `run` command again, "
                "which plans with what is there now"
            )
        note(FileRead(backbone, name, found[name].stat().st_size, planned[name]))


def _verify_commit(backbone: str, planned: str) -> None:
    argument = backbone.partition(":")[2]
    commit = hub.commit(argument)
    if commit != planned:
        raise ChecksumError(
            f"{backbone} is commit {commit or UNPINNED} on this machine, but the run was planned with {planned}: "
            "give the `run` command again"
        )
    for name, file in hub.files(argument).items():
        note(FileRead(backbone, name, file.stat().st_size, hub.verified(file, backbone)))


def data_read(cell: Cell, reads: Sequence[FileRead]) -> list[DataInfo]:
    """The declared sources first, read or not, then what else was read: derived folders, weights, kernels."""
    by_place: dict[str, list[FileRead]] = defaultdict(list)
    for name in cell.sources:
        by_place[name] = []
    for read in reads:
        by_place[read.place].append(read)
    return [*(_info(cell, place, files) for place, files in by_place.items()), *_kernels()]


def _info(cell: Cell, place: str, reads: Sequence[FileRead]) -> DataInfo:
    files = _folded(reads)
    if place in cell.weights:
        version = cell.weights[place].get("commit", "")
        return DataInfo(source=place, version=version, sha256=None, licence="as its owner states", files=files)
    name = place.removeprefix(DERIVED)
    if name not in catalogue():  # read by a plug-in that keeps a ledger of its own
        return DataInfo(source=place, version="", sha256=None, licence="unknown", files=files)
    return _source_info(place, name, files)


def _source_info(place: str, name: str, files: Sequence[FileInfo] = ()) -> DataInfo:
    entry = source(name)
    return DataInfo(
        source=place, version=entry.version, sha256=identity(name), licence=entry.licence, files=list(files)
    )


def _folded(reads: Sequence[FileRead]) -> list[FileInfo]:
    """One entry a file, or one a folder where it holds many: texts come in hundreds of files, images in thousands."""
    folders: dict[str, list[FileRead]] = defaultdict(list)
    for read in reads:
        folders[str(Path(read.name).parent)].append(read)
    found = []
    for folder, files in folders.items():
        if len(files) > MOST_FILES:
            found.append(_one_for_all(folder, files))
        else:
            found += [FileInfo(path=file.name, size=file.size, sha256=file.sha256) for file in files]
    return found


def _one_for_all(folder: str, files: Sequence[FileRead]) -> FileInfo:
    """The digest is that of the list that `sha256sum` prints of these files inside their folder."""
    lines = [f"{file.sha256}  {Path(file.name).name}\n" for file in files]
    digest = hashlib.sha256("".join(lines).encode()).hexdigest()
    return FileInfo(path=f"{folder}/", size=sum(file.size for file in files), sha256=digest, count=len(files))


def refuse_undeclared(cell: Cell, reads: Sequence[FileRead]) -> None:
    """Raises `UndeclaredDataError`: the key of such a cell would outlive a change of what it read."""
    known = {*cell.sources, *cell.weights}
    for read in reads:
        if read.place.removeprefix(DERIVED) not in known:
            raise UndeclaredDataError(
                f"the cell read {read.name} of {read.place!r}, which neither its task nor its backbone declares: "
                "name it in `sources` of the task or SOURCES of the backbone"
            )


def _kernels() -> list[DataInfo]:
    """The compiled kernels, if they were used since the last cell; who has not imported them has used none."""
    found = []
    for name, place in _NATIVE_MODULES.items():
        module: Any = sys.modules.get(place)
        built = module.take_use() if module is not None else None
        if built is not None:
            size = built.path.stat().st_size
            file = FileInfo(path=built.path.name, size=size, sha256=built.sha256)
            found.append(DataInfo(source=name, version="", sha256=built.sha256, licence="Apache-2.0", files=[file]))
    return found
