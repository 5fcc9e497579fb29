"""The licences of what is shipped, fetched and installed, as a page: `python -m tests.licences` writes LICENCES.md.

Shipped: our weights, by the project file of their distribution, and scripts of others on the page of a report. Fetched:
the manifest of data sources. Installed: what the distributions in this environment say of themselves.
"""

import re
import tomllib
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, metadata, requires
from pathlib import Path

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from sparsebench.data.sources import catalogue

ROOT = Path(__file__).parents[1]
PAGE = ROOT / "LICENCES.md"
INTRODUCTION = """# Licences

sparsebench is under [Apache-2.0](LICENSE). `python -m tests.licences` writes this page: of weights of ours from
`suites/pyproject.toml`, of data from the manifest in `data/manifest/`, of packages from what they say themselves. The
builds of torch for CUDA bring libraries of NVIDIA under licences of their own.
"""


def page() -> str:
    """The whole page."""
    parts = [
        INTRODUCTION,
        "## Weights that we ship\n",
        *weights(),
        "\n## Code of others that we ship\n",
        *vendored(),
        "\n## Data and weights that are fetched\n",
        *fetched(),
    ]
    parts += ["\n## Packages that are installed\n", *packages(), "\nWhat these bring with them:\n", *brought()]
    return "\n".join(parts) + "\n"


def weights() -> Iterator[str]:
    """A row for each file of weights, all of one distribution; what lies beside them says what they were trained on."""
    licence = tomllib.loads((ROOT / "suites" / "pyproject.toml").read_text())["project"]["license"]
    yield from ("| file | MB | licence |", "| --- | ---: | --- |")
    for path in sorted(ROOT.glob("suites/*/weights/**/*.safetensors")):
        yield f"| `{path.relative_to(ROOT)}` | {path.stat().st_size / 1e6:.1f} | {licence} |"


def vendored() -> Iterator[str]:
    """A row for each file on the page of a report that is not ours, as the list beside them has it."""
    yield from ("| file | from | licence |", "| --- | --- | --- |")
    listed = ROOT / "reports" / "page" / "vendor"
    for line in (listed / "README.md").read_text(encoding="utf-8").splitlines():
        if line.startswith("| `"):
            file, package, licence, _ = line.strip("| ").split(" | ")
            path = (listed / file.strip("`")).relative_to(ROOT)
            yield f"| `{path}` | {package} | {licence} |"


def fetched() -> Iterator[str]:
    """A row for each data source; nothing of them is in a distribution of ours."""
    yield from ("| source | where from | licence |", "| --- | --- | --- |")
    for name, about in sorted(catalogue().items()):
        yield f"| `{name}` | {about.kind} | {about.licence} |"


def packages() -> Iterator[str]:
    """A row for each package that `pyproject.toml` names for users, with the extra that brings it."""
    yield from ("| package | for | licence |", "| --- | --- | --- |")
    for name, wanted in sorted(needed().items()):
        yield f"| {name} | {', '.join(wanted)} | {licence_of(name)} |"


def needed() -> dict[str, list[str]]:
    """Names of packages, and the extras that bring each; "base" for what is always there."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    groups = {"base": project["dependencies"]} | project["optional-dependencies"]
    found: dict[str, list[str]] = {}
    for group, texts in groups.items():
        if group in ("all", "test", "dev"):
            continue
        for text in texts:
            name = canonicalize_name(Requirement(text).name)
            if not name.startswith("sparsebench"):
                found.setdefault(name, []).append(group)
    return found


def brought() -> Iterator[str]:
    """A row for each licence of what the named packages need, as installed here."""
    named = set(needed())
    by_licence: dict[str, list[str]] = {}
    for name in sorted(closure(named) - named):
        by_licence.setdefault(licence_of(name), []).append(name)
    yield from ("| licence | packages |", "| --- | --- |")
    for licence, names in sorted(by_licence.items()):
        yield f"| {licence} | {', '.join(names)} |"


def closure(names: set[str]) -> set[str]:
    """These packages and all that they need, of what is installed."""
    found: set[str] = set()
    waiting = [(name, "") for name in names]
    while waiting:
        name, extra = waiting.pop()
        found.add(name)
        try:
            lines = requires(name) or []
        except PackageNotFoundError:
            found.discard(name)
            continue
        for wanted in map(Requirement, lines):
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                further = canonicalize_name(wanted.name)
                if further not in found:
                    waiting += [(further, one) for one in ("", *wanted.extras)]
    return found


def licence_of(name: str) -> str:
    """What a distribution says: its expression, its classifiers, or the first line of its licence."""
    about = metadata(name)
    if "License-Expression" in about:
        return about["License-Expression"]
    classes = [line for line in about.get_all("Classifier") or [] if line.startswith("License :: ")]
    if classes:
        return ", ".join(line.rpartition(" :: ")[2] for line in classes)
    first = (about["License"] or "").strip().splitlines()
    return re.sub(r"\s+", " ", first[0]) if first else "not stated"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
