"""A Ray cluster of a head and two workers, in three network namespaces with 10 Mbit/s and 20 ms between them.

Random faults meet a run: kills of workers, of the driver, of the head, cut lines, a full disk, a node with other code.
The same command is given again whenever it ends. Nothing may be lost, doubled or different from a run without a
cluster: a cell is *lost* that has no score in the end, and *doubled* if its score was written twice. That a cell runs
again because a fault took its result is neither, and is counted from a file that the cells write.

`make faults-cluster` runs it, with 60 cells and 30 faults; elsewhere it is skipped.
"""

import importlib.util
import random
import subprocess
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from .. import draws
from ..conftest import scores
from .fault_run import KINDS, FaultRun
from .network import network, why_not
from .ray_machines import machines

SECONDS = (1.0, 2.0, 3.0)
"""How long cells run; as many cells of each."""


def test_nothing_is_lost_doubled_or_different(tmp_path: Path, record_property: Callable[[str, object], None]) -> None:
    skip_without_means()
    if not draws.LONG:
        pytest.skip("takes many minutes: `make faults-cluster` runs it")
    seeds = 20
    profile = write_profile(tmp_path, seeds)
    draw = random.Random(14)
    kinds = [kind for kind, count in KINDS.items() for _ in range(count)]
    draw.shuffle(kinds)
    with network(tmp_path, ["head", "a", "b"]) as net, machines(net, tmp_path) as cluster:
        report = FaultRun(cluster, profile, tmp_path / "out", 3 * seeds, kinds, draw).run()
        completed = Counter(line.rsplit(" ", 2)[0] for line in cluster.log.read_text().splitlines())
        environment = cluster.environment
    run_here(profile, tmp_path / "local", environment)
    found, expected = scores(tmp_path / "out"), scores(tmp_path / "local")
    counts = {
        "kind": "Ray over three network namespaces",
        "kills": sum(report.faults.values()),
        "lost": len(expected.keys() - found.keys()),
        "doubled": len(report.rewritten),
        "different": sum(found.get(id_) != one for id_, one in expected.items() if id_ in found),
        "tracebacks": report.tracebacks,
        "run again": sum(completed.values()) - len(completed),
        "commands": report.commands,
        "retries": report.retried,
        "refusals": report.refused,
        "seconds": round(report.seconds),
        **report.faults,
        "exits": dict(report.exits),
    }
    record_property("faults", counts)
    assert len(expected) == 3 * seeds
    assert {name: counts[name] for name in ("lost", "doubled", "different", "tracebacks")} == {
        "lost": 0,
        "doubled": 0,
        "different": 0,
        "tracebacks": 0,
    }
    assert sum(report.faults.values()) == sum(KINDS.values())
    assert report.refused >= 1


def skip_without_means() -> None:
    reason = why_not()
    if reason is not None:
        pytest.skip(reason)
    if importlib.util.find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'sparsebench[ray]'")


def write_profile(folder: Path, seeds: int) -> Path:
    methods = [{"name": "nap", "label": f"nap {seconds:g}", "config": {"seconds": seconds}} for seconds in SECONDS]
    suite = {"backbones": ["nap_line"], "tasks": ["nap_sum"], "methods": methods, "seeds": seeds, "timeout": 60}
    path = folder / "naps.yaml"
    path.write_text(yaml.safe_dump({"molecules": suite}))
    return path


def run_here(profile: Path, out: Path, environment: dict[str, str]) -> None:
    """The same cells without a cluster."""
    bench = [sys.executable, "-m", "sparsebench.suites.runner", "run", "--profile", str(profile), "--out", str(out)]
    environment = {**environment, "NAPBENCH_LOG": str(out.with_suffix(".txt"))}
    subprocess.run([*bench, "--workers", "4"], env=environment, check=True, capture_output=True, timeout=600)
