"""Rows and tasks of a profile, read from YAML.

A row is a method, or a chain of methods that are applied one after another:

    - linear_probe
    - {name: adapter, config: {rank: 8}, label: adapter r=8}
    - {chain: [cmoe, {name: quantise, config: {bits: 8}}], label: CMoE in 8 bits, train: head}
    - {name: adapter, config: {rank: 16}, label: as many parameters, role: control}
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, replace
from typing import Any, get_args

from sparsebench.reports.records.record import Link
from sparsebench.reports.tables.suite_entries import Role

from ..errors import UsageError, near
from . import values

JOIN = "+"
"""Between the methods of a chain on the command line."""


@dataclass(frozen=True)
class Row:
    """A chain of methods, each with its config, as one row of the table; most chains have one link."""

    chain: tuple[Link, ...]
    label: str = ""
    """What the tables call the row; made from names and configs if not given."""
    backbones: tuple[str, ...] = ()
    """Restricts the row to these backbones of the suite's list."""
    train: str = ""
    """What trains after the last transform ("head", "router", ...); empty: what the methods say themselves."""
    role: str = ""
    """What the row is there for: "control", "ceiling", ... (`reports.tables.Role`); empty: what its methods say."""

    def __post_init__(self) -> None:
        if not self.label:
            label = f" {JOIN} ".join(map(_name_and_config, self.chain))
            object.__setattr__(self, "label", f"{label}, train {self.train}" if self.train else label)

    @property
    def name(self) -> str:
        """The names of the methods: "cmoe+quantise"."""
        return JOIN.join(link.method for link in self.chain)


OPTIONS = tuple(entry.name for entry in fields(Row) if entry.name != "chain")
"""What a row says in addition to its chain."""
TEXTS = ("label", "train", "role")
"""Those of the options that are texts."""


def twin_of(row: Row, rows: Iterable[Row]) -> Row | None:
    """One of the rows that has the same cells: it differs in label and role alone."""
    for other in rows:
        if replace(row, label=" ", role="") == replace(other, label=" ", role=""):
            return other
    return None


def _name_and_config(link: Link) -> str:
    config = ", ".join(f"{key}={value}" for key, value in sorted(link.config.items()))
    return f"{link.method}({config})" if config else link.method


def chain_of(text: str) -> tuple[Link, ...]:
    """The links of "cmoe+quantize", with the default configs. Raises `UsageError` where a name is missing."""
    names = [name.strip() for name in text.split(JOIN)]
    if not all(names):
        raise UsageError(f"{text!r} is no chain of methods: write `first{JOIN}second`")
    return tuple(Link(method=name) for name in names)


@dataclass(frozen=True)
class TaskRow:
    """A task and what differs there from the suite's budget."""

    name: str
    budget: Mapping[str, Any] = field(default_factory=dict)
    rows: tuple[str, ...] = ()
    """Restricts the task to the rows with these labels."""
    backbones: tuple[str, ...] = ()
    """Restricts the task to these backbones of the suite's list."""
    seeds: int | None = None
    """Seeds of this task alone; None takes the suite's."""

    def takes(self, label: str, backbone: str) -> bool:
        """Whether the row with this label has cells here on this backbone."""
        return (not self.rows or label in self.rows) and (not self.backbones or backbone in self.backbones)


def read_row(item: object, where: str) -> Row:
    """One entry of `methods`. Raises `UsageError`."""
    if isinstance(item, str):
        return Row((_link(item, where),))
    given = checked(item, ("name", "config", "chain", *OPTIONS), where)
    options: dict[str, Any] = {key: values.line(given[key], f"{where}, {key}") for key in TEXTS if key in given}
    if options.get("role", "") not in ("", *get_args(Role)):
        raise UsageError(f"{where}: unknown role {options['role']!r}{near(options['role'], get_args(Role))}")
    if "backbones" in given:
        options["backbones"] = values.texts(given["backbones"], f"{where}, backbones")
    if "chain" not in given:
        return Row((_link({key: given[key] for key in ("name", "config") if key in given}, where),), **options)
    links = given["chain"]
    if "name" in given or "config" in given:
        raise UsageError(f"{where}: {item!r} has a chain and a name or config of its own: put these into the chain")
    if not isinstance(links, list) or not links:
        raise UsageError(f"{where}: a chain must be a list with at least one method, not {links!r}")
    return Row(tuple(_link(link, f"{where}, chain") for link in links), **options)


def read_task(item: object, where: str) -> TaskRow:
    """One entry of `tasks`. Raises `UsageError`."""
    if isinstance(item, str):
        return TaskRow(item)
    given = checked(item, [entry.name for entry in fields(TaskRow)], where)
    _need_name(given, item, where)
    for key in ("rows", "backbones"):
        if key in given:
            given[key] = values.texts(given[key], f"{where}, {key}")
    return TaskRow(**given)


def _link(item: object, where: str) -> Link:
    if isinstance(item, str):
        return Link(method=item)
    given = checked(item, ("name", "config"), where)
    _need_name(given, item, where)
    return Link(method=given["name"], config=given.get("config", {}))


def _need_name(given: Mapping[str, object], item: object, where: str) -> None:
    if "name" not in given:
        raise UsageError(f"{where}: an entry without `name`: {item!r}")
    values.text(given["name"], f"{where}, name")


def checked(section: object, known: Sequence[str], where: str) -> dict[str, Any]:
    """The mapping, with none but known keys. Raises `UsageError`."""
    section = values.mapping(section, where)
    for key in section:
        if key not in known:
            raise UsageError(f"{where}: unknown key {key!r}{near(str(key), known)}")
    for key in ("config", "budget"):
        values.mapping(section.get(key, {}), f"{where}, {key}")
    return dict(section)
