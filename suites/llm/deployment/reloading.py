"""Hands a model to a fresh process by way of a folder."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import nn

from sparsebench.models.anatomy import Wrapper
from sparsebench.models.compression.quantisation import packed_weights
from sparsebench.models.errors import ModelError
from sparsebench.models.hub.saving import save

from ...contracts.method import NotApplicable
from .measurement import Request, Seen

MEASUREMENT = "sparsebench.suites.llm.deployment.measurement"
ERROR_LINES = 5


def reload(
    model: nn.Module, windows: list[list[int]], lengths: Sequence[int], new_tokens: int, device: str
) -> tuple[Seen, int]:
    """What a fresh process sees of the model, and the bytes of the files that it was opened from.

    Raises `NotApplicable` for a model that no folder brings back (one with adapters on it), and RuntimeError with the
    last lines of the process where that fails.
    """
    if any(isinstance(module, Wrapper) for module in model.modules()):
        raise NotApplicable("there are adapters on the model, which its folder would not hold: merge them first")
    with tempfile.TemporaryDirectory(prefix="sparsebench-deployment-") as folder:
        try:
            _save(model, folder)
        except ModelError as error:
            raise NotApplicable(f"the model cannot be saved as it is: {error}") from error
        disk = sum(file.stat().st_size for file in Path(folder).rglob("*") if file.is_file())
        request = Request(folder, windows, list(lengths), new_tokens, torch.get_num_threads(), device)
        done = subprocess.run(
            [sys.executable, "-m", MEASUREMENT], input=json.dumps(asdict(request)), capture_output=True, text=True
        )
    if done.returncode != 0:
        last = "\n".join(done.stderr.strip().splitlines()[-ERROR_LINES:])
        raise RuntimeError(f"a fresh process could not use the saved model (exit code {done.returncode}):\n{last}")
    found = json.loads(done.stdout.splitlines()[-1])
    for name in ("prefill", "decode"):
        found[name] = {int(length): rate for length, rate in found[name].items()}
    return Seen(**found), disk


def _save(model: Any, folder: str) -> None:
    """As transformers does, but models with packed weights in our own form, which keeps them packed."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    if any(packed_weights(model)):
        save(model, folder)
    else:
        model.save_pretrained(folder)
