"""Six newcomers, each a script of the commands that one types, run from the wheel in an empty environment.

Outside the tree, with a home of its own, without a network. What they cost: `README.md` beside this file.
"""

import csv
import json
import os
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import torch
from transformers import AutoTokenizer

from sparsebench.data.cache.folders import cache_root
from sparsebench.data.weights import efficientnet_lite
from sparsebench.models import load

from ..built_wheel import environment_with
from ..models.foreign_engines import engines
from ..models.foreign_engines.elsewhere import OFFLINE

HERE = Path(__file__).parent
PIP = {"PIP_NO_INDEX": "1", "PIP_NO_DEPS": "1", "PIP_NO_BUILD_ISOLATION": "0"}
"""No network: `pip install` takes what there is. "0" says that isolation is off, as pip reads it."""
pytestmark = pytest.mark.timeout(2400)
"""A minute of CPU takes a quarter of an hour where twenty programs share two cores."""


class Visit(NamedTuple):
    """The folder in which a script ran, and what it printed, errors included."""

    folder: Path
    printed: str

    def rows(self, name: str) -> list[dict[str, str]]:
        """A CSV file that it left."""
        with (self.folder / name).open(newline="") as file:
            return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def programs(wheel_file: Path, weights_wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of an environment with the wheel and that of the weights."""
    return environment_with(tmp_path_factory.mktemp("environment"), wheel_file, weights_wheel)


@pytest.fixture(scope="module")
def variables(programs: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What a shell there knows: nothing of the shell that started the tests."""
    home = str(tmp_path_factory.mktemp("home"))
    path = os.pathsep.join([str(programs), "/usr/local/bin", "/usr/bin", "/bin"])
    shell = {"PATH": path, "HOME": home, "LANG": "C.UTF-8", "OMP_NUM_THREADS": "1", "SPARSEBENCH_OFFLINE": "1"}
    return shell | PIP | OFFLINE


@pytest.fixture(scope="module")
def visit(variables: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Visit]:
    """Runs a script once."""
    done: dict[str, Visit] = {}

    def once(name: str) -> Visit:
        if name not in done:
            folder = tmp_path_factory.mktemp(name)
            script = ["bash", str(HERE / f"{name}.sh")]
            ended = subprocess.run(
                script,
                cwd=folder,
                env=variables,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
            )
            assert ended.returncode == 0, ended.stdout[-5000:]
            assert "Traceback" not in ended.stdout
            done[name] = Visit(folder, ended.stdout)
        return done[name]

    return once


def test_the_environment_has_the_wheel_and_not_the_tree(programs: Path, variables: dict[str, str]) -> None:
    code = "import sys, sparsebench.models as m; print(m.__file__); print(*sys.meta_path, sep=chr(10))"
    command = [str(programs / "python"), "-c", code]
    found = subprocess.run(command, cwd=variables["HOME"], env=variables, capture_output=True, text=True, check=True)
    place, *finders = found.stdout.splitlines()
    assert Path(place).is_relative_to(programs.parent)
    assert not any("editable" in finder.lower() for finder in finders)


def test_an_adapter_and_a_router_of_ones_own(visit: Callable[[str], Visit]) -> None:
    folder, printed = visit("own_modules")
    assert re.search(r"\d+ passed", printed) and "all conform" in printed
    assert "channel_shift          Channel shift: a learned shift of every channel" in printed
    assert "Distance: logits fall with the distance of a token from a row for each expert" in printed
    assert re.search(r"\d+ n/a, \d+ ok\n", printed)
    for suite in ("llm", "molecules", "vtab"):
        table = (folder / "mine" / "report" / f"table-{suite}.md").read_text()
        assert "channel_shift" in table and "distance_moe" in table and "linear_probe" in table, suite
    cells = [one["cell"] for one in records(folder / "mine").values() if one["status"] == "ok"]
    scored = {(cell["suite"], cell["method"]) for cell in cells}
    rows = ("linear_probe", "channel_shift", "distance_moe")
    assert scored == {(suite, row) for suite in ("llm", "molecules", "vtab") for row in rows}


def test_a_model_of_ones_own_in_four_bits(visit: Callable[[str], Visit]) -> None:
    """The same outputs up to the rounding of float32 in two layers."""
    folder, printed = visit("own_model")
    assert "GraniteMoeSharedForCausalLM in plain transformers" in printed
    assert "with the outputs of the model" in printed
    found = re.search(r"largest difference of a logit: (\S+) of the largest", printed)
    assert found is not None and float(found[1]) < 2e-5
    mixture, codes = ((folder / name / "model.safetensors").stat().st_size for name in ("mixture", "codes"))
    assert codes < 0.45 * mixture  # the embeddings stay as they are
    config = json.loads((folder / "codes" / "config.json").read_text())
    assert config["quantization_config"]["format"] == "pack-quantized"


@pytest.mark.parametrize(("engine", "exported"), [("llama.cpp", "stock"), ("compressed-tensors", "codes")])
def test_other_engines_run_it(engine: str, exported: str, visit: Callable[[str], Visit], tmp_path: Path) -> None:
    if engines.interpreter(engine) is None:
        pytest.skip(f"needs {', '.join(engines.ENGINES[engine].packages)}")
    folder = visit("own_model").folder
    ids, ours = engines.question(load(folder / "packed"), AutoTokenizer.from_pretrained(folder / "stock"))
    (tmp_path / "model").symlink_to(folder / exported)
    (tmp_path / "question.json").write_text(json.dumps({"ids": ids, "new": engines.NEW}))
    torch.save(ours, tmp_path / "ours.pt")
    answer = engines.answers(engine, {engine: tmp_path}, tmp_path)[engine]
    assert answer.exact(engine), answer


@pytest.fixture(scope="module")
def weights(variables: dict[str, str]) -> None:
    """The network for photographs lies in the home, as if it had been downloaded there."""
    efficientnet_lite(0)
    sources = Path(variables["HOME"], ".cache", "sparsebench", "sources")
    sources.mkdir(parents=True, exist_ok=True)
    (found,) = (place for place in (cache_root() / "sources").glob("efficientnet-lite0-*") if place.is_dir())
    (sources / found.name).symlink_to(found)


@pytest.mark.data
@pytest.mark.usefixtures("weights")
def test_photographs_of_ones_own(visit: Callable[[str], Visit]) -> None:
    folder, printed = visit("own_images")
    assert "photos: images, 3 classes (disc, square, stroke), 108 train, 36 val, 36 test" in printed
    recommended = re.search(r"recommended: (.+?) \((sure|not shown to be worse|cannot tell)", printed)
    assert recommended is not None and "constant" not in recommended[1]
    assert recommended[0] in (folder / "fit-photos" / "recommendation.txt").read_text()
    rows = visit("own_images").rows("new-predictions.csv")
    assert len(rows) == 16 and [row["file"] for row in rows if row["status"] != "ok"] == ["torn.png"]
    right = [row["file"].startswith(row["prediction"]) for row in rows if row["status"] == "ok"]
    assert sum(right) >= 12  # of 15; by chance once in two hundred thousand


def test_molecules_of_ones_own(visit: Callable[[str], Visit]) -> None:
    folder, printed = visit("own_molecules")
    assert re.search(r"mydata.csv: molecules, regression of logP, \d+ train, \d+ val, \d+ test", printed)
    assert len(re.findall(r"recommended: (?!constant).+ \((?:sure|not shown to be worse|cannot tell)", printed)) == 2
    rows = visit("own_molecules").rows("new-predictions.csv")
    assert [row["ID"] for row in rows if row["status"] != "ok"] == ["999"]
    assert len(rows) == 14 and all(float(row["predicted logP"]) for row in rows if row["status"] == "ok")
    first, again = (records(folder / fitted / "results") for fitted in ("fit-mydata", "fit-again"))
    assert first.keys() == again.keys() and len(first) >= 5
    assert not {one["key"] for one in first.values()} & {one["key"] for one in again.values()}
    assert all(one["metrics"] != again[cell]["metrics"] for cell, one in first.items())


def test_a_table_of_a_paper(visit: Callable[[str], Visit]) -> None:
    _, printed = visit("paper_table")
    assert re.search(r"^  v1-construction +ready for one GPU ", printed, re.MULTILINE)
    told = printed.partition("\nLLaMA-MoE v1 (arXiv 2406.16554, EMNLP 2024), figure: expert construction\n")[2]
    assert "random split, 16/4, LLaMA-2-7B" in told and "sparsebench run --profile claims-cpt" in told


def test_a_cluster(visit: Callable[[str], Visit]) -> None:
    """Two processes share a folder: each cell ran once, and both saw all of them end."""
    folder, printed = visit("cluster")
    found = records(folder / "shared")
    assert {one["cell"]["method"] for one in found.values()} == {"linear_probe", "lora"}
    assert len(re.findall(rf"\b{len(found)} ok$", printed, re.MULTILINE)) == 2
    assert len(list((folder / "shared" / "records").iterdir())) == len(found)
    assert (folder / "shared" / "report" / "index.html").exists()
    assert "memory of a GPU: " in printed and "13,624 steps" in printed


def records(results: Path) -> dict[str, dict[str, Any]]:
    """By suite, task, row, backbone and seed."""
    found = [json.loads(path.read_text()) for path in (results / "records").iterdir()]
    parts = ("suite", "task", "label", "backbone", "seed")
    return {" ".join(str(one["cell"][part]) for part in parts): one for one in found}
