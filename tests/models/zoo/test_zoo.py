"""The zoo is whole: every class that a describer serves has a row in `text_families.py` or `test_vision.py`."""

import importlib
import pkgutil

import transformers
from torch import nn

from sparsebench.models import describers

from . import test_vision, text_families


def served() -> list[str]:
    """Full names of all classes that describers serve."""
    names: list[str] = []
    for info in pkgutil.iter_modules(describers.__path__):
        names += importlib.import_module(f"{describers.__name__}.{info.name}").SERVES
    return names


def rows() -> set[type[nn.Module]]:
    """The classes that have a row somewhere in the zoo."""
    found: set[type[nn.Module]] = set()
    for _, cls in text_families.rows(text_families.FAMILIES | text_families.MIXTURES):
        found.add(getattr(transformers, cls))
    for row in test_vision.ROWS.values():
        found.add(type(row.build()))
    return found


def test_every_class_that_a_describer_serves_has_a_row() -> None:
    covered = rows()
    missing = []
    for name in served():
        module, _, cls = name.rpartition(".")
        base = getattr(importlib.import_module(module), cls)
        if not any(issubclass(found, base) for found in covered):
            missing.append(name)
    assert not missing, f"no row in tests/models/zoo builds a model of these classes: {missing}"
