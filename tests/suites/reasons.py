"""Why a row cannot run on a backbone of the tree, before anything is loaded."""

from sparsebench.suites.contracts.applicability import reason_against
from sparsebench.suites.contracts.method import Method
from sparsebench.suites.contracts.traits import Backbone, TaskTraits
from sparsebench.suites.runner.discovery.registry import find


def known(suite: str, name: str) -> Backbone:
    """What the file of a backbone says of it."""
    return find("backbone", name, suite).backbone(name)


def reason(task: type[TaskTraits] | TaskTraits, suite: str, backbone: str, *chain: Method) -> str | None:
    """Why the chain cannot run there; without methods, why the task cannot."""
    return reason_against(chain, task, known(suite, backbone))
