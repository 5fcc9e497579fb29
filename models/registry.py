"""What comes from outside this package by name: a router, a split, a criterion, registered by a call or by a package.

A package brings one by an entry point: in its `pyproject.toml`

    [project.entry-points."sparsebench.routers"]
    cosine = "cosine_router.router"

The module is imported when somebody asks for the name, and not before. A model that is saved says which packages it
needs; without them it is refused in one line.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from importlib.metadata import EntryPoint, PackageNotFoundError, entry_points, version
from types import ModuleType
from typing import Any, Generic, TypedDict, TypeVar

from .errors import ModelError, check_choice

Thing = TypeVar("Thing")
_used: set[str] = set()


class Needed(TypedDict):
    """What a folder says of a package that its model needs; JSON."""

    kind: str
    name: str
    module: str
    package: str
    version: str


class Registry(Generic[Thing]):
    """The things of one kind, those of this package and others, by name.

    Args:
        kind: in one word, as in messages; the entry points of a kind "router" are in the group `sparsebench.routers`.
        built_in: names that are nobody else's.
        read: makes the thing of the module of an entry point. Raises `ModelError` for a module that has none.
    """

    def __init__(self, kind: str, built_in: Collection[str], read: Callable[[ModuleType], Thing]) -> None:
        self.kind = kind
        self._built_in = built_in
        self._read = read
        self._found: dict[str, Thing] = {}
        self._modules: dict[str, str] = {}
        self._points: dict[str, EntryPoint] = {}

    def register(self, name: str, thing: Thing, module: str) -> None:
        """Add one in this process. The same thing may come again, as when a module is loaded anew.

        Args:
            name: under which it is asked for.
            thing: what it is.
            module: that defines it.

        Raises:
            ModelError: the name is no identifier, is built in, or is that of another thing.
        """
        self._check_name(name)
        if self._modules.get(name, module) != module:
            raise ModelError(f"{self._modules[name]} has registered the {self.kind} {name!r}: take another name")
        self._found[name] = thing
        self._modules[name] = module

    def __contains__(self, name: object) -> bool:
        """Whether it is known here, built in or not; nothing is imported."""
        return name in self._built_in or name in self._found or name in self._entry_points()

    def names(self) -> list[str]:
        """All names: built in, registered, and those of installed packages, of which nothing is imported."""
        others = self._entry_points().keys() | self._found.keys()
        return [*self._built_in, *sorted(others.difference(self._built_in))]

    def get(self, name: str) -> Thing:
        """One that is not built in. Its package is imported when it is asked for first.

        Args:
            name: of the thing.

        Returns:
            The thing.

        Raises:
            ModelError: nobody has it, or its package cannot be imported or holds none.
        """
        if name not in self._found:
            point = self._entry_points().get(name)
            if point is None:
                check_choice(self.kind, name, self.names())
                raise ModelError(f"{self.kind}={name!r} is built in")
            self._check_name(name)
            self._found[name] = self._read(_imported(self.kind, point))
            self._modules[name] = point.value
            self._points[name] = point
        _used.add(self._modules[name])
        return self._found[name]

    def needed(self, name: str) -> Needed | None:
        """What a saved model says of the package that brings a name; None for what is built in."""
        if name in self._built_in:
            return None
        self.get(name)
        return self.needed_of(name, self._modules[name])

    def needed_of(self, name: str, module: str) -> Needed:
        """What a saved model says of a thing of that name and module, whoever brings it.

        Args:
            name: of the thing.
            module: that defines it.

        Returns:
            The package of its entry point, or else the one that the module lies in.
        """
        point = self._points.get(name) or self._entry_points().get(name)
        package = module.partition(".")[0]
        if point is not None and point.value == module and point.dist is not None:
            package = point.dist.name
        return Needed(kind=self.kind, name=name, module=module, package=package, version=_version(package))

    def check_needed(self, needed: Mapping[str, Any]) -> None:
        """Raise a `ModelError` that names the package, unless what a saved model needs is here."""
        if needed["name"] in self:
            return
        number = f" {needed['version']}" if needed["version"] else ""
        raise ModelError(
            f"the model needs the {self.kind} {needed['name']!r} of the package {needed['package']}{number}, which is "
            f"not here: install it, or import {needed['module']} before"
        )

    def _check_name(self, name: str) -> None:
        if not name.isidentifier():
            raise ModelError(f"{self.kind} {name!r}: a name has letters, digits and underscores only")
        if name in self._built_in:
            raise ModelError(f"the {self.kind} {name!r} is built in: take another name")

    def _entry_points(self) -> dict[str, EntryPoint]:
        return {point.name: point for point in entry_points(group=f"sparsebench.{plural(self.kind)}")}


def plural(kind: str) -> str:
    """Of a kind, as in the name of its group of entry points."""
    return "criteria" if kind == "criterion" else f"{kind}s"


def used_modules() -> frozenset[str]:
    """The modules of things that are not built in and that this process has asked for."""
    return frozenset(_used)


def forget_used() -> None:
    """Begin to note again, for `used_modules`."""
    _used.clear()


def only_class(module: ModuleType, base: type[Thing]) -> type[Thing]:
    """The one class derived from `base` that a module defines.

    Args:
        module: of a package.
        base: the class that it derives from.

    Returns:
        The class.

    Raises:
        ModelError: there is none, or more than one.
    """
    found = [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, base) and value.__module__ == module.__name__
    ]
    if len(found) != 1:
        raise ModelError(f"{module.__name__} must define one {base.__name__}, not {len(found)}")
    return found[0]


def function_in(module: ModuleType, name: str) -> Callable[..., Any]:
    """The function of that name in a module. Raises `ModelError` where there is none."""
    found = getattr(module, name, None)
    if not callable(found):
        raise ModelError(f"{module.__name__} must define a function {name}")
    return found


def _imported(kind: str, point: EntryPoint) -> ModuleType:
    try:
        return point.load()
    except (Exception, SystemExit) as error:  # a package of somebody else may break in any way
        reason = " ".join(f"{type(error).__name__}: {error}".split())
        raise ModelError(f"the {kind} {point.name!r}: {point.value} cannot be imported: {reason}") from error


def _version(package: str) -> str:
    """ "" for a module that no distribution brings."""
    try:
        return version(package)
    except PackageNotFoundError:
        return ""
