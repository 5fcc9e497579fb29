"""Any causal LM of transformers, `hf:<folder>` or `hf:<owner>/<name>[@<revision>]`, safetensors only

A hub name stands for the commit that lies in the hub's cache on this machine (`sparsebench.data.hub`): it is part of
the cell's identity, and just that commit is loaded. `@<commit>` makes it the same everywhere.
"""

from pathlib import Path

import torch

from sparsebench.data import hub
from sparsebench.models import compression, dynamic, moe  # noqa: F401 -- a folder may hold models of ours: their code counts

from ..language.pretrained import load_pretrained
from ..language.task import CausalLM

SOURCES = ()
DESCRIBERS = ("hf_*",)
NEEDS_ARGUMENT = True
HUB = True
"""The argument may name a repository of the hub."""


def load(generator: torch.Generator, argument: str | None = None) -> CausalLM:
    """The weights named by `argument`; `generator` is not used. Raises `ValueError` without an argument."""
    if not argument:
        raise ValueError("backbone 'hf' needs a model: write hf:<folder> or hf:<owner>/<name>")
    folder = Path(argument).expanduser()
    if folder.is_dir():
        return load_pretrained(str(folder))
    name, revision = hub.split(argument)
    return load_pretrained(name, hub.commit(argument) or revision)
