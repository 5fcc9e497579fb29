"""What a record says of the machine."""

import json

from sparsebench.suites.runner.discovery.registry import suites
from sparsebench.suites.runner.execution.environment import environment
from sparsebench.suites.runner.execution.placement import default_workers


def test_every_library_that_a_suite_depends_on_is_named() -> None:
    libraries = environment()["libraries"]
    for about in suites().values():
        assert set(about.libraries) <= libraries.keys()
    assert libraries["sparsebench"] != "absent"
    json.dumps(environment())


def test_workers_share_the_cores() -> None:
    assert default_workers(1) >= default_workers(2) >= default_workers(10_000) == 1
