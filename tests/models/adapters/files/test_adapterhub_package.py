"""Our files, with weights of our own, in AdapterHub's library itself.

Optional: needs the package `adapters`, with the older transformers that it asks for, in an interpreter that
`ENGINES_PYTHON` names.
"""

from collections.abc import Mapping

import pytest
from safetensors.torch import load_file, save_file
from torch import Tensor

from sparsebench.models.adapters.files.adapterhub import load_adapterhub, save_adapterhub

from ...agreement import agree
from ...foreign_engines.elsewhere import interpreter_with, run_elsewhere
from ...oracles.oracle import difference
from ..conftest import noise
from .adapterhub_tools import CASES, NEAR, ORACLE, body, inputs, logits, stored, written_bodies

PACKAGES = ("adapters", "transformers")
PROGRAM = """
from pathlib import Path

import adapters
import torch
import transformers
from safetensors.torch import load_file, save_file

CLASSES = {"bert": transformers.BertForSequenceClassification, "vit": transformers.ViTForImageClassification}
bodies, *folders = map(Path, sys.argv[1:])
for folder in folders:
    family = folder.name.partition(".")[0]
    model = CLASSES[family].from_pretrained(bodies / family).eval()
    adapters.init(model)
    model.set_active_adapters(model.load_adapter(str(folder / "ours")))
    with torch.no_grad():
        logits = model(**load_file(folder / "inputs.safetensors")).logits
    save_file({"logits": logits.contiguous()}, folder / "theirs.safetensors")
"""


@pytest.fixture(scope="module")
def found(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, tuple[Tensor, Tensor]]:
    """Logits of each case, ours and those of the package."""
    python = interpreter_with(*PACKAGES)
    if python is None:
        pytest.skip("needs the package adapters in an interpreter that ENGINES_PYTHON names")
    folder = tmp_path_factory.mktemp("elsewhere")
    bodies = written_bodies(folder)
    ours = {}
    for case in CASES:
        family = case.partition(".")[0]
        model = body(bodies, family)
        adapters = load_adapterhub(model, stored(folder / case, case))
        noise(adapters.parameters())
        save_adapterhub(adapters, folder / case / "ours")
        save_file(inputs(family), folder / case / "inputs.safetensors")
        ours[case] = logits(model, family)
    run_elsewhere(PROGRAM, folder, *(folder / case for case in CASES), folder=folder, python=python[0])
    theirs = {case: load_file(folder / case / "theirs.safetensors")["logits"] for case in CASES}
    return {case: (ours[case], theirs[case]) for case in CASES}


@pytest.mark.parametrize("case", CASES)
def test_the_package_computes_what_we_do(case: str, found: Mapping[str, tuple[Tensor, Tensor]]) -> None:
    ours, theirs = found[case]
    agree(ours, theirs, "logits", within=NEAR)
    assert difference(ours, ORACLE[f"{case.partition('.')[0]}.plain"]) > 10 * NEAR
