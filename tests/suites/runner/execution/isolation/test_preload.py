"""All that a cell imports is imported before its clock starts, and plug-ins in workers alone."""

import json
import subprocess
import sys
from dataclasses import replace

from sparsebench.suites.runner.discovery.parts import parts_of
from sparsebench.suites.runner.execution.isolation.preload import import_cell, one_of_each
from sparsebench.suites.runner.execution.isolation.settle import thread_environment
from tests.suites.runner.cells import INFO
from tests.suites.runner.conftest import PLUGIN

WARM = """
import glob, json, sys
from sparsebench.reports.records.record import CellInfo
from sparsebench.suites.runner.execution.isolation.preload import import_cell, warm_up
text = CellInfo(suite="llm", suite_version="1", task="synthetic", task_version="1", group="", method="dense",
    label="a", config={}, backbone="tiny", seed=0, budget={}, dtype="float32")
toy = CellInfo(suite="molecules", suite_version="1", task="toy_sum", task_version="1", group="", method="toy_fine",
    label="a", config={}, backbone="toy_line", seed=0, budget={}, dtype="float32")
asked = []
def read(path):
    with open(path) as file: return file.read()
warm_up([text, toy], lambda: asked.append(1) or True)
task = "sparsebench.suites.llm.tasks.synthetic.synthetic"
found = {"library": "transformers" in sys.modules, "task": task in sys.modules,
    "data": sys.modules["sparsebench.suites.llm._markov"].markov_documents.cache_info().currsize,
    "threads": [name for name in map(read, glob.glob("/proc/self/task/*/comm")) if "jemalloc" not in name],
    "asked": len(asked), "plug-in in server": "toybench.toy_fine" in sys.modules}
import_cell(toy)
found["plug-in in worker"] = "toybench.toy_fine" in sys.modules
import torch
found["accelerator"] = torch.cuda.is_initialized()
print(json.dumps(found))
"""


def test_libraries_and_own_modules_first_and_plugins_in_the_worker() -> None:
    environment = {"PYTHONPATH": str(PLUGIN), **thread_environment(1)}
    done = subprocess.run([sys.executable, "-c", WARM], capture_output=True, text=True, timeout=300, env=environment)
    found = json.loads(done.stdout)
    assert found.pop("asked") > 10
    assert len(found.pop("threads")) <= 1, "but for that of an allocator"
    assert found == {
        "library": True,
        "task": True,
        "data": 2,
        "plug-in in server": False,
        "plug-in in worker": True,
        "accelerator": False,
    }


def test_cells_that_import_the_same_count_once() -> None:
    cells = [INFO, replace(INFO, seed=1), replace(INFO, config={"rank": 2}), replace(INFO, backbone="other")]
    assert [info.backbone for info in one_of_each(cells)] == [INFO.backbone, "other"]


def test_what_cannot_be_imported_is_left_to_the_cell(monkeypatch) -> None:
    import importlib

    imported = []

    def refuse(name: str) -> None:
        imported.append(name)
        raise ValueError("broken module")

    info = replace(INFO, suite="vtab", task="synthetic", method="lora", backbone="tiny")
    parts_of(info)
    monkeypatch.setattr(importlib, "import_module", refuse)
    import_cell(info)
    assert "torch" in imported
