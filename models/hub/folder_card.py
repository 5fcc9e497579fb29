"""What a folder of ours says to somebody who does not have this package: a model card, and code that names it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from .parts import in_words

CARD = "README.md"
OPENER = "configuration_sparsebench.py"
AUTO_MAP = {"AutoConfig": f"{OPENER.removesuffix('.py')}.SparsebenchConfig"}
"""In `config.json`: where transformers looks for a model type that it does not know. Without the package it says that
the folder needs code, and, told to trust it, which package to install."""

OWN_WEIGHTS = "open_with_sparsebench.models.load.safetensors"
"""In the `config.json` of a folder in a format of our own, the name of a weights file that is not there: transformers,
which would only say that `model.safetensors` is missing, says that this one is."""

OPENED = """from sparsebench.models import load

model = load("this folder")  # on the CPU, in eval mode; as it was"""
"""Code that opens every folder of ours."""

GENERATED = "This model card has been automatically generated."
"""In the cards that transformers makes where a repository has none."""

_OPENER = '''"""Opens this folder with the package that has the code of its model: pip install sparsebench"""

import sparsebench.models  # noqa: F401 - from then on transformers knows the model type "sparsebench"
from transformers import AutoConfig, PreTrainedConfig


class SparsebenchConfig(PreTrainedConfig):
    model_type = "sparsebench"

    @classmethod
    def from_pretrained(cls, name, **keywords):
        return AutoConfig.from_pretrained(name, **keywords)
'''
_CARD = """---
library_name: sparsebench
---

# {title}

{said}This folder was written by the Python package `sparsebench` and opens with it: `pip install sparsebench`, then

```python
{code}
```
{more}"""
_TRUST = f"""
A program that takes a path and knows nothing of `sparsebench` opens it with `trust_remote_code=True`: it then runs
`{OPENER}`, which imports the package. Without the package transformers cannot open it, of whatever version.
"""


def write_card(folder: Path, title: str, code: str, more: str = "", what: str = "") -> None:
    """Write the model card of a folder, unless it has one; `what` says in words what the model is."""
    if not (folder / CARD).exists():
        said = f"A model with {what}.\n\n" if what else ""
        (folder / CARD).write_text(_CARD.format(title=title, said=said, code=code, more=more), encoding="utf-8")


def name_own_weights(folder: Path) -> None:
    """Have `config.json` say which door opens the folder, to whoever opens it as a stock model."""
    file = folder / "config.json"
    fields = json.loads(file.read_text(encoding="utf-8")) | {"transformers_weights": OWN_WEIGHTS}
    file.write_text(json.dumps(fields, indent=2, sort_keys=True) + "\n", encoding="utf-8")


def packages_in(parts: Mapping[str, Any]) -> str:
    """What a card says of the packages of others that the parts of a model name; "" where they name none."""
    found = [needed for part in parts.values() if isinstance(part, dict) for needed in part.get("packages", ())]
    lines = [
        f"\nThe {needed['kind']} {needed['name']!r} is of the package `{needed['package']}` ({needed['version']}), "
        f"module `{needed['module']}`: install that, too.\n"
        for needed in found
    ]
    return "".join(lines)


def write_opener(folder: Path, architecture: str, parts: dict[str, Any]) -> None:
    """Write the code that `AUTO_MAP` names, and a card that says what was changed in a model of this class, in words,
    which packages of others that takes, and how the Auto classes open it."""
    (folder / OPENER).write_text(_OPENER, encoding="utf-8")
    auto = auto_class(architecture)
    code = (
        f'import sparsebench.models\nfrom transformers import {auto}\n\nmodel = {auto}.from_pretrained("this folder")'
    )
    write_card(
        folder, architecture or "A model changed by sparsebench", code, packages_in(parts) + _TRUST, in_words(parts)
    )


def put_card_back(folder: Path) -> None:
    """Write our card again where there is one that transformers made of its template, with the tags of that."""
    from huggingface_hub import ModelCard

    file = folder / CARD
    if not file.is_file() or GENERATED not in file.read_text(encoding="utf-8"):
        return
    tags = ModelCard.load(file).data.to_dict().get("tags")
    fields = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    file.unlink()
    write_opener(folder, next(iter(fields.get("architectures") or ()), ""), fields["sparsebench"]["parts"])
    if tags:
        card = ModelCard.load(file)
        card.data["tags"] = tags
        card.save(file)


def auto_class(architecture: str) -> str:
    """The Auto class that makes a class of transformers, as their names say: `AutoModelForCausalLM`."""
    import transformers

    if architecture.endswith("LMHeadModel"):
        return "AutoModelForCausalLM"
    _, found, task = architecture.rpartition("For")
    name = "AutoModelForSeq2SeqLM" if task == "ConditionalGeneration" else f"AutoModelFor{task}"
    return name if found and hasattr(transformers, name) else "AutoModel"
