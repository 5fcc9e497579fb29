"""What is added to the bench, from outside or as new files of ours, leaves the records of all other rows valid."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sparsebench.suites.runner.discovery.closure import HOME

PROFILE = {
    "llm": {"backbones": ["tiny"], "methods": ["dense", "moe_random"], "tasks": ["synthetic"]},
    "vtab": {"backbones": ["tiny"], "methods": ["linear_probe", "lora"], "tasks": ["synthetic"]},
    "molecules": {"backbones": ["tiny", "tiny_encoder"], "methods": ["linear_probe"], "tasks": ["synthetic"]},
}
RECORDS_FOR_ALL = """
import sys
from dataclasses import replace
from sparsebench.reports.records.record import Metric
from sparsebench.reports.records.store import Store
from sparsebench.suites.runner.execution.execute import failure
from sparsebench.suites.runner.planning.plan import expand
from sparsebench.suites.runner.planning.profile import load_profile

score = Metric(value=1.0, stderr=None, n=1, higher_is_better=True, chance=None, unit="")
store = Store(sys.argv[2]).create()
for cell in expand(load_profile(sys.argv[1])):
    record = failure(cell, "failed", "to be changed", started="2026-01-01T00:00:00+00:00")
    store.write(replace(record, status="ok", reason=None, metrics={"score": score}, main_metric="score"))
"""
METHOD = """
\"\"\"A new method.\"\"\"

from sparsebench.suites.methods.baselines.dense import Dense


class NewMethod(Dense):
    pass
"""
DESCRIBER = """
SERVES = ("somewhere.Else",)


def describe(model):
    raise NotImplementedError
"""
ENTRY_POINTS = """
[sparsebench.methods]
outside_method = newcomers.method

[sparsebench.tasks]
vtab.outside_task = newcomers.task

[sparsebench.backbones]
llm.outside_net = newcomers.net
"""


class Checkout:
    """A copy of our source files, which Python imports instead of them, with a place for plug-ins beside it."""

    def __init__(self, folder: Path) -> None:
        self.home = folder / "site" / "sparsebench"
        for room in ("models", "data", "suites", "reports"):
            ignored = shutil.ignore_patterns("__pycache__", "results")
            shutil.copytree(HOME / room, self.home / room, ignore=ignored)
        self.profile, self.out = folder / "mine.yaml", folder / "out"
        self.profile.write_text(yaml.safe_dump(PROFILE))
        self.environment = {
            **os.environ,
            "PYTHONPATH": str(self.home.parent),
            "SPARSEBENCH_CACHE": str(folder / "cache"),
            "OMP_NUM_THREADS": "1",
        }

    def python(self, *arguments: str) -> str:
        command = [sys.executable, *arguments]
        done = subprocess.run(command, env=self.environment, capture_output=True, text=True, timeout=280)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def plan(self) -> str:
        """The counts of the states."""
        arguments = ["plan", "--profile", str(self.profile), "--out", str(self.out)]
        said = self.python("-m", "sparsebench.suites.runner", *arguments).splitlines()[-1]
        return said.partition(": ")[2].partition(".")[0]

    def write(self, name: str, text: str) -> None:
        path = self.home.parent / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def outside(suite: str, name: str) -> str:
    """The text of a file of a suite, as it would be written in another package."""
    text = (HOME / "suites" / suite / name).read_text()
    return text.replace("from ...", "from sparsebench.suites.").replace("from ..", f"from sparsebench.suites.{suite}.")


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    return Checkout(tmp_path)


def test_a_describer_a_method_and_a_task_leave_all_other_rows_done(checkout: Checkout) -> None:
    checkout.python("-c", RECORDS_FOR_ALL, str(checkout.profile), str(checkout.out))
    before = checkout.plan()
    assert before.endswith(" done") and int(before.split()[0]) >= 6
    task = outside("vtab", "tasks/synthetic.py")
    net = outside("llm", "backbones/tiny.py")
    checkout.write("sparsebench/models/describers/hf_new.py", DESCRIBER)
    checkout.write("sparsebench/models/describers/timm_new.py", DESCRIBER)
    checkout.write("sparsebench/suites/methods/new_method.py", METHOD)
    checkout.write("sparsebench/suites/vtab/tasks/new_task.py", task)
    checkout.write("newcomers/__init__.py", "")
    checkout.write("newcomers/method.py", METHOD)
    checkout.write("newcomers/task.py", task)
    checkout.write("newcomers/net.py", net)
    checkout.write("newcomers-1.dist-info/METADATA", "Metadata-Version: 2.1\nName: newcomers\nVersion: 1\n")
    checkout.write("newcomers-1.dist-info/entry_points.txt", ENTRY_POINTS)
    listed = checkout.python("-m", "sparsebench.suites.runner", "list").split()
    assert {"new_method", "new_task", "outside_method", "outside_task", "outside_net"} <= set(listed)
    assert checkout.plan() == before
