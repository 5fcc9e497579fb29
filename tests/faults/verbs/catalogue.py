"""What stands in a line of the catalogue of malformed inputs, and how inputs are made."""

import shlex
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path


@dataclass(frozen=True, kw_only=True)
class Sound:
    """Folders that nothing is wrong with; a case copies one and damages the copy."""

    dense: Path
    """A language model of transformers with its tokenizer."""
    mixture: Path
    """A mixture of ours with its tokenizer."""
    text: Path
    """A file of 30 documents."""
    graphsgpt: Path
    fitted: Path
    """What `fit` made of molecules."""
    layout: Path
    """A checkpoint in the layout of LLaMA-MoE."""
    results: Path
    """A result folder of three rows."""
    profile: Path
    """A profile of one cell."""

    def words(self, line: str) -> list[str]:
        """The words of a command, with paths in the place of the names of these folders in braces."""
        places = {one.name: shlex.quote(str(getattr(self, one.name))) for one in fields(self)}
        for name, place in places.items():
            line = line.replace("{" + name + "}", place)
        return shlex.split(line)


Make = Callable[[Path, Sound], object]
"""Makes an input in a folder."""


@dataclass(frozen=True)
class Case:
    """A command that must be refused.

    Attributes:
        damage: what is wrong, in words.
        line: the command without the program's name; names of `Sound` in braces.
        says: a part of what the one line must say.
        files: texts or bytes by name; None is a folder.
        make: what makes the other inputs.
        place: the variable that names a folder of data, and the folder.
    """

    damage: str
    line: str
    says: str
    files: Mapping[str, str | bytes | None] = field(default_factory=dict)
    make: Make | None = None
    place: tuple[str, str] | None = None

    def __str__(self) -> str:
        return f"{self.verb}: {self.damage}"

    @property
    def verb(self) -> str:
        """The command, and what it does in the case of `molecules`."""
        words = self.line.split()
        return " ".join(words[: 2 if words[0] in ("molecules", "vtab", "llm") else 1])

    def write(self, folder: Path, sound: Sound) -> None:
        """Make the input in a folder."""
        for name, content in self.files.items():
            put(folder / name, content)
        if self.make is not None:
            self.make(folder, sound)


def put(path: Path, content: str | bytes | None) -> None:
    """A file, or a folder for None, with the folders above it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if content is None:
        path.mkdir()
    elif isinstance(content, bytes):
        path.write_bytes(content)
    else:
        path.write_text(content, encoding="utf-8")


KEPT = ("index.sqlite", "run.lock", "workers.lock")
"""What a result folder that is there keeps for its readers: made again at will, and no result."""


def tree(folder: Path) -> dict[str, bytes | None]:
    """Every file of a folder with its bytes, and every folder in it; without what result folders keep for readers."""
    found = [path for path in sorted(folder.rglob("*")) if path.name not in KEPT]
    paths = {path.relative_to(folder).as_posix(): path for path in found}
    return {name: path.read_bytes() if path.is_file() else None for name, path in paths.items()}


def copied(name: str, *changes: Callable[[Path], object]) -> Make:
    """A copy of a sound folder, called as it, that is changed."""

    def make(folder: Path, sound: Sound) -> None:
        source = getattr(sound, name)
        copy = folder / name
        if source.is_dir():
            shutil.copytree(source, copy)
        else:
            shutil.copy(source, copy)
        for change in changes:
            change(copy)

    return make


def cut(name: str, bytes_left: int) -> Callable[[Path], object]:
    """A file of the copy loses its end."""
    return lambda copy: (copy / name).write_bytes((copy / name).read_bytes()[:bytes_left])


def replaced(name: str, content: str | bytes | None) -> Callable[[Path], object]:
    """A file of the copy with another content, or without it."""

    def change(copy: Path) -> None:
        (copy / name).unlink(missing_ok=True)
        if content is not None:
            put(copy / name, content)

    return change


def edited(name: str, **values: object) -> Callable[[Path], object]:
    """A JSON file of the copy with other values."""
    import json

    def change(copy: Path) -> None:
        found = json.loads((copy / name).read_text(encoding="utf-8"))
        (copy / name).write_text(json.dumps(found | values), encoding="utf-8")

    return change


def doubled(cases: Sequence[Case]) -> list[str]:
    """Cases whose name or whose input stands there before."""
    seen: set[object] = set()
    found = []
    for case in cases:
        keys = {str(case), (case.line, str(sorted(case.files.items(), key=str)), id(case.make), case.place)}
        if seen & keys:
            found.append(str(case))
        seen |= keys
    return found
