"""Which node may run which cells, now or ever."""

from dataclasses import replace

import pytest

from sparsebench.suites.runner.execution.executors.ray_cluster.messages import Kind, Node
from sparsebench.suites.runner.execution.executors.ray_cluster.places import Place

from ....cells import cell

CELL = cell()
ON_CPU = Kind("on cpu", CELL)
ON_GPU = Kind("on gpu", replace(CELL, device="cuda"))
PLAIN = Node("1", "plain", slots=4, gpus=0)
WITH_GPU = Node("2", "big", slots=4, gpus=1)


def place(node: Node) -> Place:
    """A node whose agent runs and agrees with both kinds."""
    return Place(node, joined=True, agreed={ON_CPU.digest, ON_GPU.digest})


@pytest.mark.parametrize(("node", "kind"), [(PLAIN, ON_CPU), (WITH_GPU, ON_CPU), (WITH_GPU, ON_GPU)])
def test_a_node_that_agrees_runs_what_its_devices_can(node: Node, kind: Kind) -> None:
    assert place(node).fits(kind)
    assert place(node).why_not(kind) is None


def test_a_node_without_a_gpu_never_runs_what_needs_one() -> None:
    assert not place(PLAIN).fits(ON_GPU)
    assert place(PLAIN).why_not(ON_GPU) == "node plain: no GPU"


def test_a_node_runs_nothing_before_its_agent_runs_and_agrees_but_may_later() -> None:
    for early in (Place(WITH_GPU, joined=True), Place(WITH_GPU, agreed={ON_CPU.digest})):
        assert not early.fits(ON_CPU)
        assert early.why_not(ON_CPU) is None


def test_to_agree_with_one_kind_is_not_to_agree_with_another() -> None:
    half = Place(WITH_GPU, joined=True, agreed={ON_GPU.digest})
    assert half.fits(ON_GPU) and not half.fits(ON_CPU)


def test_what_a_node_lacks_is_the_reason_for_the_kind_that_needs_it() -> None:
    lacking = replace(place(WITH_GPU), agreed={ON_GPU.digest}, lacking={ON_CPU.digest: "source moses is not there"})
    assert not lacking.fits(ON_CPU)
    assert lacking.why_not(ON_CPU) == "node big: source moses is not there"
    assert lacking.why_not(ON_GPU) is None


def test_each_node_has_lists_of_its_own() -> None:
    one, other = Place(PLAIN), Place(WITH_GPU)
    one.agreed.add("d")
    one.lacking["d"] = "why"
    assert not other.agreed and not other.lacking
