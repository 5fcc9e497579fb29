"""MoleculeNet through torch-geometric: the original files, for those who have no folder of ChemBench's."""

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from ..cache import cache_root, sha256_of
from ..errors import ChecksumError, LocalFolderError, UnknownSource
from ..manifest import near, source
from ..offline import offline
from .table import MoleculeTable
from .tables import moleculenet_table

_NAMES = {"lipop": "lipo"}
"""Names of torch-geometric where they are others than ours."""


def moleculenet_from_pyg(name: str, folder: Path | str | None = None) -> MoleculeTable:
    """One MoleculeNet set (Wu et al., 2018) from the file that torch-geometric downloads.

    The files are the originals, which nothing pins: rows and their order differ from ChemBench's (BBBP has 2,050 for
    2,039), so a cell of the suite, which records the checksum of ChemBench's, never reads them. The table's `name` says
    the sha256 of what was read, `rejected` the rows that RDKit cannot read.

    Args:
        name: as in `moleculenet`.
        folder: where the file lies or is put; None is the cache.

    Returns:
        The table.

    Raises:
        UnknownSource: no such set.
        LocalFolderError: the file is not there and cannot be fetched.
        ChecksumError: it is not the one that was fetched, whose sum lies next to it.
    """
    known = source("moleculenet").paths
    if name not in known:
        raise UnknownSource(f"unknown MoleculeNet set {name!r}{near(name, known)}")
    import pandas as pd
    from torch_geometric.datasets import MoleculeNet

    _, remote, stem, smiles, targets = MoleculeNet.names[_NAMES.get(name, name)]
    place = Path(folder).expanduser() if folder else cache_root() / "pyg-moleculenet"
    file = place / f"{stem}.csv"
    if not file.is_file():
        _download(name, MoleculeNet.url.format(remote), file)
    sha256 = sha256_of(file)
    noted = _digest_file(file)  # there is none for a file that the user has put there
    if noted.is_file() and noted.read_text(encoding="ascii", errors="replace") != sha256:
        raise ChecksumError(f"{file} is not what was fetched: remove it, and it is fetched again")
    return _table(name, pd.read_csv(file), smiles, targets, sha256)


def _digest_file(file: Path) -> Path:
    return file.with_suffix(".sha256")


def _download(name: str, url: str, file: Path) -> None:
    from torch_geometric.data import download_url, extract_gz

    note = source("moleculenet").note
    advice = f"set {source('moleculenet').environment} to a folder of ChemBench's files; {note}"
    if offline():
        raise LocalFolderError(
            f"MoleculeNet set {name!r} is not in {file.parent} and SPARSEBENCH_OFFLINE is set: {advice}"
        )
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        with TemporaryDirectory(dir=file.parent) as folder:
            path = download_url(url, folder, log=False)
            if path.endswith(".gz"):
                extract_gz(path, folder, log=False)
            fetched = Path(folder) / file.name
            _digest_file(file).write_text(sha256_of(fetched), encoding="ascii")
            fetched.replace(file)
    except OSError as error:
        raise LocalFolderError(f"MoleculeNet set {name!r} could not be fetched ({error}): {advice}") from error


def _table(name: str, frame: Any, smiles: int, targets: int | slice, sha256: str) -> MoleculeTable:
    columns = targets
    if isinstance(targets, int):
        columns = [targets]  # a list, so that one column stays a table
    title = f"{name} (torch-geometric, sha256 {sha256})"
    return moleculenet_table(name, title, frame.iloc[:, smiles], frame.iloc[:, columns])
