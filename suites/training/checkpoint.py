"""Checkpoints of a training in a folder of its own: whole or not there, and only for the training that wrote them.

FOLDER/training.json           which training this is (`fingerprint.py`)
FOLDER/step-000000500/         the newest checkpoint; the last one has "-end" in its name
    models.pt                  models, optimizers, callbacks, counters
    process-0.pt               of each process: place in the data, random states
    *.sha256                   of each of these files: a checkpoint that was cut is none, and the training starts again
"""

import json
import os
import shutil
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from sparsebench.data.cache.digests import sha256_of

from .processes import Processes

IDENTITY = "training.json"
PREFIX = "step-"
END = "-end"
"""After the last step; sorted behind a checkpoint of the same step."""


class OtherTrainingError(ValueError):
    """The folder belongs to a training with other data, settings, groups or first weights."""


class Checkpoints:
    """The checkpoints of one training. Raises `OtherTrainingError` where the folder holds another one."""

    def __init__(self, folder: Path, identity: Mapping[str, Any], processes: Processes) -> None:
        self.folder = folder
        self.processes = processes
        difference = None
        if processes.main:
            difference = _claim(folder, json.loads(json.dumps(identity)))
        difference = processes.from_main(difference)
        if difference:
            raise OtherTrainingError(
                f"{folder} holds another training: {difference}. Choose another folder, or remove it to start again"
            )

    def save(self, step: int, common: Mapping[str, object], own: Mapping[str, object], end: bool = False) -> None:
        """Write a checkpoint, of which `own` is this process's part, and then remove the one before."""
        name = f"{PREFIX}{step:09d}{END if end else ''}"
        partial = self.folder / f"partial-{name}"
        if self.processes.main:
            shutil.rmtree(partial, ignore_errors=True)
            partial.mkdir(parents=True)
        self.processes.barrier()
        _write(partial / f"process-{self.processes.rank}.pt", own)
        if self.processes.main:
            _write(partial / "models.pt", common)
        self.processes.barrier()
        if self.processes.main:
            place = self.folder / name
            partial.rename(place)
            for other in self.folder.iterdir():
                if other.is_dir() and other != place:
                    shutil.rmtree(other)
        self.processes.barrier()

    def load(self) -> tuple[dict[str, Any], dict[str, Any]] | None:
        """The newest checkpoint, the common part and that of this process; None where there is none.

        A process that was not there when it was written gets the part of the main one.
        """
        found = newest(self.folder)
        if found is None:
            return None
        if not self.processes.from_main(self.processes.main and _kept_if_whole(found)):
            return None
        own = found / f"process-{self.processes.rank}.pt"
        if not own.exists():  # written by fewer processes: the place in the data is that of all
            own = found / "process-0.pt"
        common = torch.load(found / "models.pt", map_location="cpu", weights_only=True)
        return common, torch.load(own, map_location="cpu", weights_only=True)


def newest(folder: Path) -> Path | None:
    """The newest whole checkpoint in a folder."""
    found = sorted(folder.glob(f"{PREFIX}*")) if folder.is_dir() else []
    return found[-1] if found else None


def _kept_if_whole(checkpoint: Path) -> bool:
    """Whether every file of a checkpoint is what was written; if not, it is removed, with a warning."""
    digests = sorted(checkpoint.glob("*.sha256"))
    broken = [file.name for file in digests if not _is_what_was_written(file)]
    if digests and not broken:
        return True
    warnings.warn(f"{checkpoint} is broken ({broken or 'no digests'}): the training starts again", stacklevel=3)
    shutil.rmtree(checkpoint)
    return False


def _is_what_was_written(digest: Path) -> bool:
    file = digest.with_suffix(".pt")
    return file.is_file() and sha256_of(file).encode() == digest.read_bytes()


def model_state(model: nn.Module) -> dict[str, Any]:
    """All that a model remembers: its state, the buffers that are in no state dict, and its own generators."""
    state = model.state_dict()
    buffers = {name: tensor for name, tensor in model.named_buffers() if name not in state}
    generators = {name: generator.get_state() for name, generator in _generators(model).items()}
    return {"state": state, "buffers": buffers, "generators": generators}


@torch.no_grad()
def load_model_state(model: nn.Module, saved: Mapping[str, Any]) -> None:
    """Take up what `model_state` gave."""
    model.load_state_dict(saved["state"])
    for name, tensor in model.named_buffers():
        if name in saved["buffers"]:
            tensor.copy_(saved["buffers"][name])
    for name, generator in _generators(model).items():
        if name in saved["generators"]:
            generator.set_state(saved["generators"][name])


def _generators(model: nn.Module) -> dict[str, torch.Generator]:
    """Generators that the modules draw from themselves."""
    found: dict[str, torch.Generator] = {}
    for place, module in model.named_modules():
        for name, value in vars(module).items():
            if isinstance(value, torch.Generator):
                found[f"{place}.{name}"] = value
    return found


def check_plain(value: object, owner: str) -> None:
    """Raise TypeError where a state holds more than plain values and tensors: it could be saved, but never read."""
    if isinstance(value, Mapping):
        for key, item in value.items():
            check_plain(key, owner)
            check_plain(item, owner)
    elif isinstance(value, list | tuple):
        for item in value:
            check_plain(item, owner)
    elif type(value) not in (str, int, float, bool, type(None)) and not isinstance(value, Tensor):
        raise TypeError(
            f"the state_dict() of {owner} holds a {type(value).__name__}: only plain values and tensors can be saved"
        )


def _claim(folder: Path, identity: dict[str, Any]) -> str | None:
    """Write whose folder it is; what differs where it is somebody else's."""
    file = folder / IDENTITY
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_suffix(".partial")
        partial.write_text(json.dumps(identity, indent=2) + "\n", encoding="utf-8")
        partial.replace(file)
        return None
    return _difference(json.loads(file.read_text(encoding="utf-8")), identity, "")


def _difference(there: object, here: object, path: str) -> str | None:
    """The first place where two trainings differ."""
    if there == here:
        return None
    if isinstance(there, dict) and isinstance(here, dict):
        for key in {**there, **here}:
            found = _difference(there.get(key), here.get(key), f"{path} {key}".strip())
            if found:
                return found
    return f"{path} is {there} there and {here} now"


def _write(file: Path, state: Mapping[str, object]) -> None:
    """Write to the disk, not only to memory: what follows relies on it."""
    with file.open("wb") as stream:
        torch.save(state, stream)
        stream.flush()
        os.fsync(stream.fileno())
    file.with_suffix(".sha256").write_text(sha256_of(file), encoding="ascii")
