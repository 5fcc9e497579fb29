"""Manifest files of other packages: entry points in the group `sparsebench.sources`, read without importing anything.

[project.entry-points."sparsebench.sources"]
my_assay = "my_package"  # the folder of my_package has my_assay.toml
"""

import importlib.util
from collections.abc import Mapping
from importlib.metadata import EntryPoint, entry_points
from pathlib import Path

GROUP = "sparsebench.sources"


def manifest_files() -> Mapping[str, Path]:
    """Where the manifest file of each source should lie, by name; of two packages with one name, the first.

    A file may be missing; a package that is gone gives a path that nothing is at.
    """
    found: dict[str, Path] = {}
    for point in entry_points(group=GROUP):
        found.setdefault(point.name, _folder(point) / f"{point.name}.toml")
    return found


def _folder(point: EntryPoint) -> Path:
    """The folder of a package, found without running any of its code."""
    top, *below = point.value.split(".")
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None or not spec.submodule_search_locations:
        return Path(point.value)
    return Path(next(iter(spec.submodule_search_locations))).joinpath(*below)
