"""GraphsGPT tuned on a task of MoleculeNet (arXiv 2402.02464, table 2): one file of weights for each task.

Names are those of `graphsgpt` behind a wrapper that the training program leaves, and a head on the first graph word:

    classification_heads.dense.weight (D, D), .bias (D,)
    classification_heads.out_proj.weight (C, D), .bias (C,)

The official code takes sizes and bonds from the model that it tuned; here its `config.json` and `bond_dict.pkl` lie
beside the file.
"""

from __future__ import annotations

from ..errors import ModelError
from ..graphsgpt.model.molecule_head import GraphsGPTForSequenceClassification
from .checkpoint import Built, Checkpoint, Place, read_config
from .graphsgpt import config_of, places
from .recognition import TUNED_MARK

HEAD = "classification_heads."
UNKNOWN = (
    "which task it was tuned on, and what its outputs are: logits, of regression the value in standard deviations from "
    "the mean of the training part",
)


def build(checkpoint: Checkpoint) -> Built:
    """A GraphsGPT with a head for its task.

    Args:
        checkpoint: in this layout.

    Returns:
        The model.

    Raises:
        ModelError: it is not whole, or does not lie beside the configuration and the bonds of the model that was tuned.
    """
    folder = checkpoint.place.parent
    if not all((folder / name).is_file() for name in ("config.json", "bond_dict.pkl")):
        raise ModelError(
            f"{checkpoint.place} does not say its sizes and bonds: put config.json and bond_dict.pkl of the model that "
            "was tuned, DaizeDong/GraphsGPT-1W, beside it"
        )
    checkpoint.config = read_config(folder)
    wrapper = next(name for name in checkpoint.names() if name.endswith(TUNED_MARK)).removesuffix(TUNED_MARK)
    labels = len(checkpoint.take(f"{wrapper}{HEAD}out_proj.weight"))
    model = GraphsGPTForSequenceClassification(config_of(checkpoint, folder, num_labels=labels)).eval()
    found = places(checkpoint.names(f"{wrapper}model."), model, f"{wrapper}model.")
    for part in ("dense", "out_proj"):
        for leaf in ("weight", "bias"):
            found[f"molecule_head.{part}.{leaf}"] = Place(f"{wrapper}{HEAD}{part}.{leaf}")
    checkpoint.fill(model, found, {})
    return Built(model, UNKNOWN)
