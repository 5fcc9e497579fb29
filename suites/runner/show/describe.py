"""The texts of `show`."""

import ast
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from sparsebench.data.errors import DataError

from ...contracts.method import NotApplicable
from ..discovery.entry import PARTS
from ..discovery.options import Option, options_of
from ..discovery.registry import Entry, broken_plugins, entries, find, methods_of, suites
from ..errors import UsageError, near
from ..identity.fingerprint import versions
from ..planning.rows import JOIN, chain_of
from .listing import PLAIN, list_document, list_text
from .metrics import OF_VALIDATION, explain

WIDTH = 110


def describe(name: str) -> str:
    """Everything known by that name; of a chain of methods (`first+second`), of each. Raises `UsageError`."""
    from sparsebench.data.sources import catalogue

    if JOIN in name:
        return "\n\n".join(_entry(find("method", link.method)) for link in chain_of(name))
    parts = [_entry(entry) for entry in _everything() if entry.name == name]
    if name in suites():
        parts.append(_suite(name))
    if name in catalogue():
        parts.append(_source(name))
    if not parts:
        _refuse_broken(name)
        names = {entry.name for entry in _everything()} | set(suites()) | set(catalogue())
        raise UsageError(f"nothing is called {name!r}{near(name, names)}")
    return "\n\n".join(parts)


def _refuse_broken(name: str) -> None:
    """Raise `UsageError` for what an installed package brings by that name and what cannot be used, with the reason."""
    broken = [broken_plugins(kind) for kind in ("method", *PARTS)]
    broken += [broken_plugins(kind, suite) for kind in ("task", "backbone") for suite in suites()]
    for problems in broken:
        if name in problems:
            raise UsageError(problems[name])


def _everything() -> list[Entry]:
    found = [entry for kind in ("method", *PARTS) for entry in entries(kind).values()]
    for name in suites():
        found += [*entries("task", name).values(), *entries("backbone", name).values()]
    return found


def _entry(entry: Entry) -> str:
    tree = ast.parse(entry.path.read_text(encoding="utf-8"))
    where = f" of suite {entry.suite}" if entry.suite else ""
    lines = [f"{entry.name} ({entry.kind}{where}, module {entry.module})"]
    if entry.row is not None:
        lines += [f"{entry.caption}.", ""]
    lines.append(entry.docstring)
    more = {"method": _method, "task": _task, "backbone": _backbone, **dict.fromkeys(PARTS, _part)}
    lines += more[entry.kind](entry, tree)
    for name in entry.sources:
        lines += ["", *_brief_source(name)]
    return "\n".join(lines)


def _method(entry: Entry, tree: ast.Module) -> Iterator[str]:
    yield ""
    yield "options (`--set METHOD.OPTION=VALUE`, or `config` in a profile):"
    options = options_of(entry)
    for option in options.values():
        yield from _option(option)
    if not options:
        yield "    (none)"


def _option(option: Option) -> Iterator[str]:
    yield f"    {option.name} = {option.default}    [{option.kind}]"
    yield from _indented(option.text)


def _indented(text: str) -> list[str]:
    indent = " " * 8
    return textwrap.wrap(text, WIDTH, initial_indent=indent, subsequent_indent=indent)


def _task(entry: Entry, tree: ast.Module) -> Iterator[str]:
    from ..discovery.loading import load_task

    task = load_task(entry)
    for node in tree.body:
        if isinstance(node, ast.ClassDef) and node.name == type(task).__name__:
            yield ""
            yield ast.get_docstring(node) or ""
    yield ""
    yield f"version {task.version}, group {task.group or '(none)'}"
    yield f"gives methods: {', '.join(sorted(task.gives)) or 'nothing'}"
    yield f"needs of a backbone: {', '.join(sorted(task.needs)) or 'nothing'}"
    yield ""
    yield "metrics, the main one first:"
    target, unknown = _target(task)
    for name in task.metric_names:
        yield from _metric(name, target)
    if not task.metric_names:
        yield "    (the task does not say)"
    if unknown:
        yield f"classes: not known here: {unknown}"


def _target(task: Any) -> tuple[Any, str]:
    """What the task predicts, if it says so; and why nobody knows: some tasks ask a folder of the user's."""
    try:
        return getattr(task, "target", None), ""
    except (NotApplicable, DataError) as error:
        return None, str(error)


def _metric(name: str, target: Any) -> Iterator[str]:
    info = explain(name)
    if info is None:
        yield f"    {name}"
        return
    better = "higher is better" if info.higher_is_better else "lower is better"
    facts = [info.unit or "no unit of its own", better]
    if info.chance:
        facts.append(f"chance {_chance(name, info.chance, target)}")
    yield f"    {name}    [{', '.join(facts)}]"
    part = "On the validation part: " if name.startswith(OF_VALIDATION) else ""
    yield from _indented(part + info.text)


def _chance(name: str, words: str, target: Any) -> str:
    """In figures where the number of classes is known."""
    if name.removeprefix(OF_VALIDATION) == "accuracy" and target is not None:
        return f"1 / {target.outputs} = {1 / target.outputs:.3g}"
    return words


def _backbone(entry: Entry, tree: ast.Module) -> Iterator[str]:
    yield ""
    traits = entry.constant("TRAITS", None)
    yield f"traits: {', '.join(traits) if traits is not None else 'known when it is loaded'}"
    if entry.constant("NEEDS_ARGUMENT", False):
        yield "needs an argument: name:argument"
    if entry.constant("RANDOM_WEIGHTS", False):
        yield "weights are random, another draw for each seed"


USED = {
    "router": 'convert(model, MoEConfig(router="{}", ...))',
    "split": 'convert(model, MoEConfig(split="{}", ...), batches)',
    "criterion": 'sparsify(adapters, method="{}", ...)',
    "adapter": "attach(model, {}(...))",
}


def _part(entry: Entry, tree: ast.Module) -> Iterator[str]:
    yield ""
    yield f"in Python: {USED[entry.kind].format(entry.name)}"


def _suite(name: str) -> str:
    about = suites()[name]
    lines = [list_text(list_document([name], PLAIN)), "", f"version {about.version}"]
    lines.append(f"baseline: {about.baseline} (the row that the others are compared with)")
    lines += [f"baseline of the group {group}: {row}" for group, row in about.group_baselines.items()]
    lines.append(f"costs are for one {about.unit}; a score depends on {', '.join(versions(about.libraries))}")
    for method, entry in methods_of([name]).items():
        lines += _roles(method, entry)
    return "\n".join(lines)


def _roles(name: str, entry: Entry) -> Iterator[str]:
    """What rows of a method are there for, where its file says so: always, or in some configurations."""
    role = entry.constant("ROLE", None)
    if role is not None:
        yield f"{role}: {name}"
    for config in entry.constant("CONTROLS", ()):
        yield f"control: {name}{_config(config)}"


def _config(config: Mapping[str, Any]) -> str:
    return f" with {', '.join(f'{key}={value}' for key, value in config.items())}" if config else ""


def _brief_source(name: str) -> Iterator[str]:
    from sparsebench.data.sources import source

    found = source(name)
    yield f"data: {name} {found.version}, licence: {found.licence}"
    yield from (f"    {part}: {count:,} examples" for part, count in found.splits.items())


def _source(name: str) -> str:
    from sparsebench.data.sources import source

    found = source(name)
    lines = [f"{name} (data source, {found.kind}, version {found.version})", found.citation, found.note]
    lines += [f"licence: {found.licence}", f"fingerprint: {found.fingerprint}"]
    lines += [f"{part}: {count:,} examples" for part, count in found.splits.items()]
    return "\n".join(line for line in lines if line)
