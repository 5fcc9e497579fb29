"""Load a causal LM and its tokenizer from a folder or the hub: safetensors only, no remote code, no progress bars.

Weights that do not fit the configuration are refused: the stock loaders draw what is missing and go on with a warning.
So are configurations that the stock classes do not heed in full (`models.hub.foreign_configs`).
"""

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from sparsebench.data.errors import reason_of
from sparsebench.data.offline import offline
from sparsebench.data.state_files import check_finite, check_header
from sparsebench.models.hub.foreign_configs import refuse_foreign
from sparsebench.models.hub.load_report import no_report

from .task import CausalLM


def load_pretrained(name: str, revision: str = "main") -> CausalLM:
    """The model that lies in the folder `name` or has that name on the hub, there at `revision`.

    Raises `ValueError` when there is no such model, none as safetensors, one that transformers would not compute as its
    configuration says, or one whose tensors are missing, unknown, of another shape, named twice or not finite.
    """
    from transformers import AutoModelForCausalLM
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        check_config(name, revision)
        tokenizer = _tokenizer(name, revision)
        for file in sorted(Path(name).glob("*.safetensors")):  # none where it is a name on the hub
            check_header(file)
        with no_report():
            loaded: Any = AutoModelForCausalLM.from_pretrained(
                name,
                dtype="auto",
                use_safetensors=True,
                output_loading_info=True,
                ignore_mismatched_sizes=True,  # which `found` names
                **_options(revision),
            )
        model, found = loaded
        _refuse_strangers(found)
        check_finite(name, model.named_parameters())
    except Exception as error:  # a folder may be broken in any way, and each library has errors of its own
        reason = reason_of(error)
        raise ValueError(f"cannot load {name!r} as a causal LM from safetensors: {reason}") from error
    return CausalLM(model.eval(), tokenizer)


def check_config(name: str, revision: str = "main") -> None:
    """Raise a `ModelError` where the `config.json` of a folder or hub name says what transformers would not heed."""
    from transformers import PreTrainedConfig

    fields, _ = PreTrainedConfig.get_config_dict(name, **_options(revision))
    refuse_foreign(fields, name)


def _refuse_strangers(found: Mapping[str, Any]) -> None:
    for key, problem in (("missing_keys", "missing"), ("unexpected_keys", "unknown"), ("mismatched_keys", "misshapen")):
        if found[key]:
            raise ValueError(f"{len(found[key])} tensors are {problem}, first {min(map(str, found[key]))}")


@functools.lru_cache(maxsize=4)
def _tokenizer(name: str, revision: str) -> Any:
    from transformers import AutoTokenizer

    with no_report():  # of a config that it cannot read, which the model's loading says as an error
        return AutoTokenizer.from_pretrained(name, **_options(revision))


def _options(revision: str) -> dict[str, Any]:
    return {"revision": revision, "local_files_only": offline(), "trust_remote_code": False}
