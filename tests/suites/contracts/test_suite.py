"""What a suite says of itself."""

import importlib.metadata

import pytest

from sparsebench.suites.contracts.suite import Suite
from sparsebench.suites.runner.discovery.registry import suites


@pytest.mark.parametrize("suite", suites().values(), ids=suites().keys())
def test_the_constants_of_every_suite(suite: Suite) -> None:
    assert suites()[suite.name] is suite
    assert suite.title and suite.description.endswith(".") and suite.version
    for library in suite.libraries:
        assert importlib.metadata.version(library), "a name of an installed distribution"
