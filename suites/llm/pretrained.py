"""Load a causal LM and its tokenizer from a folder or the hub: safetensors only, no remote code, no progress bars."""

import functools
import os
from typing import Any

from .language import CausalLM


def load_pretrained(name: str) -> CausalLM:
    """The model that lies in the folder `name` or has that name on the hub.

    Raises `ValueError` when there is no such model, or none as safetensors.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        tokenizer = _tokenizer(name)
        model = AutoModelForCausalLM.from_pretrained(name, dtype="auto", use_safetensors=True, **_options())
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"cannot load {name!r} as a causal LM from safetensors: {reason}") from error
    return CausalLM(model.eval(), tokenizer)


@functools.lru_cache(maxsize=4)
def _tokenizer(name: str) -> Any:
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(name, **_options())


def _options() -> dict[str, Any]:
    offline = os.environ.get("SPARSEBENCH_OFFLINE", "") not in ("", "0")
    return {"local_files_only": offline, "trust_remote_code": False}
