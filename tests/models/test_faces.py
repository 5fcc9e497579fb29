"""Faces of packages: `import a.b` means the module b, never something of the same name that the face of a shows."""

import importlib
import pkgutil
from types import ModuleType

import pytest

import sparsebench.models


def packages() -> list[str]:
    found = pkgutil.walk_packages(sparsebench.models.__path__, "sparsebench.models.")
    return ["sparsebench.models", *(info.name for info in found if info.ispkg)]


def test_a_face_shows_no_function_in_the_place_of_its_module(subtests: pytest.Subtests) -> None:
    for name in packages():
        with subtests.test(name=name):
            face = importlib.import_module(name)
            # Kernels of Triton are imported on a GPU alone, where Triton is.
            submodules = [info.name for info in pkgutil.iter_modules(face.__path__) if "_triton_" not in info.name]
            for module in submodules:
                importlib.import_module(f"{name}.{module}")
            shadowed = [module for module in submodules if not isinstance(getattr(face, module), ModuleType)]
            assert not shadowed, f"{name} shows something else as {', '.join(shadowed)}: rename the module"
