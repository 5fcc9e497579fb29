"""A GraphsGPT from a folder of the user's, for the backbones that take one."""

from pathlib import Path

from sparsebench.models import load
from sparsebench.models.graphsgpt import GraphsGPT


def load_folder(backbone: str, argument: str | None) -> GraphsGPT:
    """The model of a folder.

    Args:
        backbone: the backbone that is asked for, for an error.
        argument: its argument, the folder.

    Returns:
        The model in float32, in eval mode.

    Raises:
        ValueError: no folder is named, or what it holds is no GraphsGPT.
    """
    if argument is None or not Path(argument).expanduser().is_dir():
        raise ValueError(f"backbone {backbone!r} needs a folder that `sparsebench import` wrote, not {argument!r}")
    model = load(Path(argument).expanduser())
    if not isinstance(model, GraphsGPT):
        raise ValueError(f"{argument} holds a {type(model).__name__}, and {backbone!r} needs a GraphsGPT")
    return model.float().eval()
