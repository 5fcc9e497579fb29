"""The groups' exchanges: selected once from the sources, kept in the cache, read from there."""

import functools
import gzip
import json
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from ...cache.ledger import cached_reads
from ...derived import derive, made_from
from ...errors import DataError, UnknownSource
from ...manifest import near
from ..decontamination import overlap, scored
from ..documents import documents
from ..domains import DOMAINS
from ..training_parts import SOURCES as COMPARED
from . import codeio, evals_sets
from .exchange import PARTS, Exchange, part_of
from .selection import Census, select
from .table import CODE, GROUPS, TABLE, check_group, table


def sources_of(group: str) -> tuple[str, ...]:
    """Names of the sources that a group is made from. Raises `UnknownSource`."""
    check_group(group)
    return (_own_source(group), *COMPARED)


@cached_reads()
def exchanges(group: str, part: str) -> tuple[Exchange, ...]:
    """The exchanges of the part "train", "val" or "test" of a group, in a fixed random order.

    No prompt is in two parts of any group, and none is in an evaluation set (`decontamination`). The first call on a
    machine selects them from the sources, which takes a minute. Raises `UnknownSource` for an unknown group or part,
    `DataError` for an empty one, and what `ensure` raises.
    """
    check_group(group)
    if part not in PARTS:
        raise UnknownSource(f"unknown part {part!r}{near(part, PARTS)}")
    found = tuple(_read(_folder(group) / f"{group}.{part}.jsonl.gz", group))
    if not found:
        raise DataError(f"the part {part!r} of the instruction group {group!r} is empty; add sets to {TABLE}")
    return found


def census(group: str) -> Census:
    """By set of a group: how many records were kept, and how many were not, by the reason. Raises as `exchanges`."""
    check_group(group)
    return json.loads((_folder(group) / f"{group}.census.json").read_text(encoding="utf-8"))


def _own_source(group: str) -> str:
    return codeio.SOURCE if group == CODE else evals_sets.SOURCE


def _folder(group: str) -> Path:
    """The derived folder with the files of a group, and those of the others of its source."""
    own = _own_source(group)

    def fill(partial: Path) -> None:
        forbidden = overlap.Overlap(_forbidden())
        for name in GROUPS:
            if _own_source(name) == own:
                _write(partial, name, *select(_sets(name), forbidden.found_in))

    return derive(own, f"instructions-{_form()}", fill)


@functools.cache
def _form() -> str:
    """Changes with all that decides which exchanges there are: the sources, and the code and table that choose."""
    here = Path(__file__).parent
    code = [*here.glob("*.py"), here / TABLE, *Path(overlap.__file__).parent.glob("*.py")]
    code += [here.parent / "halves.py", here.parent / "domains.py"]
    return made_from(code, (codeio.SOURCE, evals_sets.SOURCE, *COMPARED))


def _forbidden() -> Iterator[str]:
    yield from scored.scored_questions()
    yield from scored.reserved_questions()
    for domain in DOMAINS:
        yield from documents(domain, "test")


def _sets(group: str) -> Iterator[tuple[str, Iterator[Exchange | str]]]:
    if group == CODE:
        for name in codeio.SETS:
            yield name, codeio.read_set(group, name)
    else:
        for name in table().groups[group]:
            yield name, evals_sets.read_set(group, name)


def _write(folder: Path, group: str, selected: Sequence[Exchange], counts: Census) -> None:
    by_part: dict[str, list[str]] = {part: [] for part in PARTS}
    for one in selected:
        line = json.dumps([one.name, one.messages, one.answer], ensure_ascii=False)
        by_part[part_of(one.digest)].append(line)
    for part, lines in by_part.items():
        content = gzip.compress("\n".join(lines).encode(), mtime=0)
        (folder / f"{group}.{part}.jsonl.gz").write_bytes(content)
    (folder / f"{group}.census.json").write_text(json.dumps(counts, indent=1), encoding="utf-8")


def _read(file: Path, group: str) -> Iterable[Exchange]:
    for line in gzip.decompress(file.read_bytes()).decode().split("\n"):
        if line:
            name, messages, answer = json.loads(line)
            yield Exchange(group, name, tuple((role, content) for role, content in messages), answer)
