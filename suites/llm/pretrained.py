"""Load a causal LM and its tokenizer from a folder or the hub: safetensors only, no remote code, no progress bars."""

import functools
import os
from typing import Any

from .language import CausalLM


def load_pretrained(name: str, revision: str = "main") -> CausalLM:
    """The model that lies in the folder `name` or has that name on the hub, there at `revision`.

    Raises `ValueError` when there is no such model, or none as safetensors.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = _tokenizer(name, revision)
        model = AutoModelForCausalLM.from_pretrained(name, dtype="auto", use_safetensors=True, **_options(revision))
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load {name!r} as a causal LM from safetensors: {reason}") from error
    return CausalLM(model.eval(), tokenizer)


@functools.lru_cache(maxsize=4)
def _tokenizer(name: str, revision: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, **_options(revision))


def _options(revision: str) -> dict[str, Any]:
    offline = os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0")
    return {"revision": revision, "local_files_only": offline, "trust_remote_code": False}
