"""The conformance battery of tasks: what they say of themselves, and scores that two runs give alike.

A task is scored by the baseline of its suite, or else the first method that goes with it, on a backbone without
downloads and for the few examples of `methods.BUDGET`.
"""

from collections.abc import Callable, Iterator

from sparsebench.data.errors import LocalFolderError
from sparsebench.data.manifest import catalogue
from sparsebench.data.own_files import is_own_file

from ..discovery.loading import load_method, load_task
from ..discovery.registry import Named, find, methods_of, suite
from .methods import Case, NonconformingError, case_of, require

FIRST = ("linear_probe", "dense")
"""Methods that are tried after the baseline."""


def contract(task: Named) -> str:
    """A caption, a version, and sources that there are."""
    entry = find("task", task.name, task.suite)
    about = load_task(entry)
    require(bool(entry.caption.strip()), "it has no caption: the first line of its docstring")
    require(bool(about.version), "it has no version")
    known = catalogue()
    unknown = [name for name in about.sources if name not in known and not is_own_file(name)]
    require(not unknown, f"it reads a source that there is not: {', '.join(unknown)}")
    return f"version {about.version}, {', '.join(about.sources) or 'no sources'}"


def scores(task: Named) -> str:
    """Metrics, the main one among them, outcomes by example of one length; the same bits twice."""
    try:
        case = _case(task)
        first, again = case.run(), case.run()
    except LocalFolderError as error:
        return f"not run: {error}"
    require(first.main_metric in first.metrics, f"the main metric {first.main_metric!r} is none of its metrics")
    lengths = {name: len(values) for name, values in first.examples.items()}
    require(len(set(lengths.values())) <= 1, f"outcomes by example are not of one length: {lengths}")
    require(first.metrics == again.metrics, "two runs with one seed give other metrics")
    require(first.examples == again.examples, "two runs with one seed give other outcomes by example")
    main = first.metrics[first.main_metric]
    return f"{case.name} on {case.backbone.name}: {first.main_metric} {main.value:.3g}"


def _case(task: Named) -> Case:
    """A method and a backbone for the task. Raises `NonconformingError` where none goes with it."""
    for name in _candidates(task.suite):
        found = case_of(load_method(find("method", name), {}), name, task.suite, [task.name])
        if found is not None:
            return found
    raise NonconformingError("no method goes with it on a backbone without downloads")


def _candidates(name: str) -> Iterator[str]:
    known = methods_of([name])
    preferred = [suite(name).baseline, *suite(name).group_baselines.values(), *FIRST]
    yield from dict.fromkeys([method for method in preferred if method in known] + list(known))


BATTERY: tuple[Callable[[Named], str], ...] = (contract, scores)
