"""A YAML file as plain values: texts, numbers, lists and mappings, each key once."""

import functools
import re
from pathlib import Path
from typing import Any

from sparsebench.data.errors import reason_of

from ..errors import UsageError
from . import values

EXPONENT = re.compile(r"[-+]?\d+[eE][-+]?\d+")


def read_yaml(path: Path) -> dict[str, Any]:
    """The mapping that a file holds.

    Raises:
        UsageError: no file, not UTF-8, not valid YAML, a key that stands twice, a value that no record could hold.
    """
    content = _parsed(path)
    values.check_plain(content, str(path))
    return values.mapping(content, str(path))


def read_value(text: str, where: str) -> Any:
    """One value, written as in a profile; 1e-3 is a number, too. Raises `UsageError`."""
    import yaml

    try:
        value = yaml.load(text, _loader())
    except _broken() as error:
        raise UsageError(f"{where}: {text!r} is no value as in YAML: {reason_of(error)}") from error
    if isinstance(value, str) and EXPONENT.fullmatch(value):
        value = float(value)  # yaml wants a point in it, and would leave a text here
    values.check_plain(value, where)
    return value


@functools.cache
def _loader() -> Any:
    """yaml's safe loader, to which 2:4 is a text, as in YAML 1.2, and no number to base 60 (124)."""
    import yaml

    class Loader(yaml.SafeLoader):
        def resolve(self, kind: Any, value: Any, implicit: Any) -> Any:
            tag = super().resolve(kind, value, implicit)
            if tag in ("tag:yaml.org,2002:int", "tag:yaml.org,2002:float") and ":" in value:
                return self.DEFAULT_SCALAR_TAG
            return tag

    return Loader


def _broken() -> tuple[type[Exception], ...]:
    """What yaml lets out: its own errors, and what Python raises on dates, numbers and tags that make no sense."""
    import yaml

    return (yaml.YAMLError, ValueError, ArithmeticError, LookupError, AttributeError, TypeError, RecursionError)


def _parsed(path: Path) -> Any:
    try:
        loader = _loader()(path.read_text(encoding="utf-8"))
        root = loader.get_single_node()
        _check_keys(root, path)
        return None if root is None else loader.construct_document(root)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from error
    except UsageError:
        raise
    except UnicodeDecodeError as error:
        raise UsageError(f"{path}: not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from error
    except RecursionError:
        raise UsageError(f"{path}: not valid YAML: nested too deep") from None
    except _broken() as error:
        raise UsageError(f"{path}: not valid YAML: {reason_of(error)}") from error


def _check_keys(root: Any, path: Path) -> None:
    """Refuse a key that stands twice in one mapping: yaml would take the last one without a word."""
    import yaml

    waiting = [root]
    seen = set()
    while waiting:
        node = waiting.pop()
        if id(node) in seen:  # an alias stands for a node that is known, and may lie inside itself
            continue
        seen.add(id(node))
        if isinstance(node, yaml.SequenceNode):
            waiting += node.value
        elif isinstance(node, yaml.MappingNode):
            _check_once(node.value, path)
            waiting += [value for _, value in node.value]


def _check_once(pairs: Any, path: Path) -> None:
    lines: dict[str, int] = {}
    for key, _ in pairs:
        line = key.start_mark.line + 1
        if isinstance(key.value, str) and key.value in lines:
            raise UsageError(f"{path}: the key {key.value!r} stands twice, in lines {lines[key.value]} and {line}")
        if isinstance(key.value, str):
            lines[key.value] = line
