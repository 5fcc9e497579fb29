"""Errors a user can cause, the check that names near values, that of whole numbers, and packages that are not there."""

import difflib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

EXTRAS: Mapping[str, str] = {
    "jinja2": "bench",
    "pandas": "bench",
    "psutil": "bench",
    "pyarrow": "bench",
    "pydantic": "bench",
    "rich": "bench",
    "scipy": "bench",
    "sklearn": "bench",
    "typer": "bench",
    "unearth": "bench",
    "yaml": "bench",
    "datasets": "llm",
    "gguf": "llm",
    "lm_eval": "llm",
    "PIL": "vision",
    "timm": "vision",
    "torchvision": "vision",
    "networkx": "molecules",
    "rdkit": "molecules",
    "torch_geometric": "molecules",
    "ray": "ray",
    "pytest": "speed",
}
"""What is imported and is not in the base installation, and the extra that brings it."""


class ModelError(ValueError):
    """A model, a configuration or an input that a transform cannot work with."""


def not_installed(error: ImportError) -> str | None:
    """What to say of an import that failed: the package and the extra that brings it; None of what no extra brings."""
    package = (error.name or "").partition(".")[0]
    if not isinstance(error, ModuleNotFoundError) or package not in EXTRAS:
        return None
    return f"{package} is not installed: pip install 'sparsebench[{EXTRAS[package]}]'"


@contextmanager
def optional() -> Iterator[None]:
    """Around imports of what the base installation does not have.

    Raises:
        ModuleNotFoundError: it is not there; the text names the extra that brings it.

    Example::

        with optional():
            import pandas
    """
    try:
        yield
    except ModuleNotFoundError as error:
        said = not_installed(error)
        if said is None:
            raise
        raise ModuleNotFoundError(said, name=error.name) from error


def check_choice(field: str, value: object, options: Sequence[str]) -> None:
    """Raise a `ModelError` with near names unless `value` is one of `options`."""
    if value in options:
        return
    near = difflib.get_close_matches(str(value), options, n=1)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    raise ModelError(f"{field}={value!r} is not one of {', '.join(options)}{hint}")


def check_whole(field: str, value: object) -> None:
    """Raise a `ModelError` unless `value` is a whole number, at least 1."""
    if not isinstance(value, int) or value < 1:
        raise ModelError(f"{field}={value!r} must be a whole number, at least 1")
