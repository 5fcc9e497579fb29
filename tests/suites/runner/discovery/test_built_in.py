"""Routers, splits and criteria as their tables say them, without torch."""

import subprocess
import sys

from sparsebench.models.moe.routing.kinds import ROUTERS
from sparsebench.models.moe.splits import SPLITS
from sparsebench.models.sparsity.scoring import CRITERIA
from sparsebench.suites.runner.discovery.built_in import built_in


def test_they_are_those_that_models_has() -> None:
    for kind, table in (("router", ROUTERS), ("split", SPLITS), ("criterion", CRITERIA)):
        found = {entry.name: entry for entry in built_in(kind)}  # type: ignore[arg-type]
        assert list(found) == list(table)
        assert all(entry.caption for entry in found.values())
    routers = {entry.name: (entry.module.rpartition(".")[2], entry.symbol) for entry in built_in("router")}
    assert routers["mlp"] == ("router", "MLPRouter")
    assert {entry.module.rpartition(".")[2] for entry in built_in("split")} == set(SPLITS)


def test_nothing_is_imported() -> None:
    code = "import sys; from sparsebench.suites.runner.discovery.registry import entries; entries('router')"
    done = subprocess.run([sys.executable, "-c", f"{code}; sys.exit('torch' in sys.modules)"], check=False)
    assert done.returncode == 0
