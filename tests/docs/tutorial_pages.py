"""Tutorials are the scripts of `tests/newcomers`, which a test runs, and a notebook: shown, not told a second time."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

NEWCOMERS = Path(__file__).parents[1] / "newcomers"


class Tutorial(NamedTuple):
    """Its title, and where the guides go on: words and page, relative to the tutorials."""

    title: str
    further: Mapping[str, str]


TUTORIALS: Mapping[str, Tutorial] = {
    "own_modules": Tutorial(
        "My method and router",
        {
            "a method is one file": "../guide/suites.md#add-a-method-one-file",
            "a task is one file": "../guide/suites.md#add-a-task-one-file",
            "a package of your own": "../guide/suites.md#from-another-package",
        },
    ),
    "own_model": Tutorial(
        "My model to a foreign engine",
        {
            "every option of the three commands": "../guide/suites.md#a-model-of-your-own",
            "the same in Python": "../guide/models.md#mixtures-of-experts",
        },
    ),
    "own_images": Tutorial(
        "My images", {"what `fit` does": "../guide/suites.md#your-own-data-which-row-and-its-model"}
    ),
    "own_molecules": Tutorial(
        "My CSV of molecules",
        {
            "what `fit` does": "../guide/suites.md#your-own-data-which-row-and-its-model",
            "molecules as graph words": "../guide/graphsgpt.md",
        },
    ),
    "paper_table": Tutorial("A paper's table again", {"all tables": "../guide/suites.md#the-tables-of-the-papers"}),
    "cluster": Tutorial(
        "A cluster",
        {
            "leases, Slurm, Ray": "../guide/clusters.md",
            "the papers' trainings on GPUs": "../guide/suites.md#train-at-full-size",
        },
    ),
}


def script_page(script: str, tutorial: Tutorial) -> str:
    """A script as prose (its comments), files (its here-documents) and commands."""
    parts = [f"# {tutorial.title}\n", *_parts(script)]
    links = ", ".join(f"[{words}]({place})" for words, place in tutorial.further.items())
    return "\n".join([*parts, f"Go on with: {links}.\n"])


def _parts(script: str) -> Iterator[str]:
    body = script.split("\n", 1)[1].replace("set -eu\n", "")
    for piece in re.split(r"(^cat > \S+ <<'PYTHON'\n.*?^PYTHON\n)", body, flags=re.MULTILINE | re.DOTALL):
        file = re.fullmatch(r"cat > (\S+) <<'PYTHON'\n(.*)PYTHON\n", piece, flags=re.DOTALL)
        if file is not None:
            yield f"`{file[1]}`:\n\n```python\n{file[2]}```\n"
        else:
            yield from _lines(piece)


def _lines(piece: str) -> Iterator[str]:
    """Comments that have a line of their own, and the commands between them."""
    commands: list[str] = []
    for line in [*piece.splitlines(), "# "]:
        if not line.startswith("# "):
            commands += [line] if line.strip() else []
            continue
        if commands:
            yield "```sh\n" + "\n".join(commands) + "\n```\n"
        commands = []
        if line != "# ":
            yield f"{line.removeprefix('# ')}\n"


def notebook_page(notebook: Mapping[str, Any]) -> str:
    """A notebook with what it printed."""
    parts: list[str] = []
    for cell in notebook["cells"]:
        text = _joined(cell["source"])
        parts.append(text if cell["cell_type"] == "markdown" else f"```python\n{text}\n```")
        for output in cell.get("outputs", []):
            printed = _joined(output.get("text", output.get("data", {}).get("text/plain", "")))
            if printed.strip():
                parts.append(f"```text\n{printed.rstrip()}\n```")
    return "\n\n".join(parts) + "\n"


def _joined(text: str | Sequence[str]) -> str:
    return text if isinstance(text, str) else "".join(text)


def tutorial_pages() -> dict[str, str]:
    """Text by page."""
    found: dict[str, str] = {}
    for name, tutorial in TUTORIALS.items():
        found[f"tutorials/{name}.md"] = script_page((NEWCOMERS / f"{name}.sh").read_text(encoding="utf-8"), tutorial)
    for path in sorted(NEWCOMERS.glob("*.ipynb")):
        found[f"tutorials/{path.stem}.md"] = notebook_page(json.loads(path.read_text(encoding="utf-8")))
    return found
