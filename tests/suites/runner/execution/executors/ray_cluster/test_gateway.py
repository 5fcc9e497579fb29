"""What the gateway makes of Ray's nodes and of its errors. No Ray here."""

import os
import sys
import types
from pathlib import Path
from typing import Any

import pytest

from sparsebench.suites.runner.execution.executors.interface import Options
from sparsebench.suites.runner.execution.executors.ray_cluster.gateway import (
    AUTH_MODE,
    _Gateway,
    connect,
    short,
    start_own,
)
from sparsebench.suites.runner.execution.executors.ray_cluster.messages import Node

GIB = 2**30


def listed(alive: bool = True, **resources: float) -> dict[str, Any]:
    return {"NodeID": "n", "NodeName": "name", "Alive": alive, "Resources": resources}


def node_of(listing: dict[str, Any], gpus: bool = False, **options: Any) -> Node | None:
    gateway = _Gateway(types.SimpleNamespace(), None, Options(**{"workers": 8, **options}), gpus)  # type: ignore[arg-type]
    return gateway._node(listing)


@pytest.mark.parametrize(
    ("resources", "options", "slots"),
    [
        ({"CPU": 4}, {}, 4),
        ({"CPU": 4}, {"threads": 2}, 2),
        ({"CPU": 5}, {"threads": 2}, 2),
        ({"CPU": 4}, {"workers": 3}, 3),
        ({"CPU": 4, "memory": 5 * GIB}, {"memory": 2 * GIB}, 2),
    ],
)
def test_what_a_node_carries(resources: dict, options: dict, slots: int) -> None:
    assert node_of(listed(**resources), **options) == Node("n", "name", slots, 0)


@pytest.mark.parametrize("listing", [listed(), listed(CPU=1), listed(alive=False, CPU=8)])
def test_nodes_that_carry_nothing(listing: dict[str, Any]) -> None:
    assert node_of(listing, threads=2) is None


def test_gpus_are_taken_where_cells_need_them() -> None:
    resources = {"CPU": 8, "GPU": 2}
    assert node_of(listed(**resources), gpus=True) == Node("n", "name", 8, 2)
    assert node_of(listed(**resources), gpus=False) == Node("n", "name", 8, 0)


def test_errors_are_one_line() -> None:
    class TaskError(Exception):
        cause = ModuleNotFoundError("No module named 'sparsebench'")

    assert short(TaskError("long\ntext")) == "ModuleNotFoundError: No module named 'sparsebench'"
    assert short(RuntimeError("\nThe actor died.\nmore")) == "The actor died."
    assert short(RuntimeError()) == "RuntimeError"


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[dict[str, Any]]:
    """What `ray.init` is given, in an environment that says nothing of tokens."""
    for name in (AUTH_MODE, "RAY_AUTH_TOKEN", "RAY_USAGE_STATS_ENABLED", "RAY_worker_niceness"):
        monkeypatch.setenv(name, "")  # so that it is taken back afterwards
        monkeypatch.delenv(name)
    found: list[dict[str, Any]] = []
    monkeypatch.setitem(sys.modules, "ray", types.SimpleNamespace(init=lambda **given: found.append(given)))
    return found


def test_a_token_is_asked_for_unless_the_user_says_otherwise(
    calls: list[dict[str, Any]], monkeypatch: pytest.MonkeyPatch
) -> None:
    connect("head:6379")
    assert os.environ[AUTH_MODE] == "token"
    monkeypatch.setenv(AUTH_MODE, "disabled")
    connect("head:6379")
    assert os.environ[AUTH_MODE] == "disabled"
    assert [call["address"] for call in calls] == ["head:6379"] * 2


def test_a_cluster_of_our_own_has_a_secret_and_a_folder_of_its_own(calls: list[dict[str, Any]], tmp_path: Path) -> None:
    start_own(Options(workers=2, threads=3), tmp_path)
    assert os.environ[AUTH_MODE] == "token"
    assert len(os.environ["RAY_AUTH_TOKEN"]) == 64
    (call,) = calls
    assert (call["address"], call["num_cpus"], call["_temp_dir"]) == ("local", 6, str(tmp_path))
