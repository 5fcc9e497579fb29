"""Vision networks from the .npz files of their authors, by timm's own reader: read whole, or refused."""

import re
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import torch

from sparsebench.data.errors import WeightsError, reason_of
from sparsebench.data.state_files import check_finite

BLOCK = re.compile(r"encoderblock_(\d+)/")


def read_npz(network: Any, file: Path, without: tuple[str, ...] = ()) -> None:
    """Load a file in the layout of Google's ViT, as `B_16.npz`, into a timm network, in place.

    Parameters whose names begin with one of ``without`` (a head that is not used) may be left as they are. Positions
    are interpolated by timm where the network has another grid. Raises `WeightsError`, which names the file, for one
    that cannot be read, has other sizes, another number of blocks, or no value for a parameter.
    """
    if not hasattr(network, "load_pretrained"):
        raise WeightsError(f"{file}: timm reads no .npz into a {type(network).__name__}: a safetensors file is wanted")
    kept = {name: value for name, value in network.named_parameters() if not name.startswith(without)}
    with torch.no_grad():
        for value in kept.values():
            value.fill_(float("nan"))  # what the file does not hold stays so
    try:
        _check_blocks(network, file)
        network.load_pretrained(str(file))
    except WeightsError:
        raise
    except (OSError, KeyError, ValueError, RuntimeError, EOFError, zipfile.BadZipFile) as error:
        raise WeightsError(f"{file} cannot be read into this network: {reason_of(error)}") from error
    for name, value in kept.items():
        if value.isnan().all():
            raise WeightsError(f"{file}: there is nothing for {name!r}")
    check_finite(str(file), kept.items())


def _check_blocks(network: Any, file: Path) -> None:
    """timm reads as many blocks as the network has, whatever the file holds."""
    with file.open("rb") as stream, np.load(stream, allow_pickle=False) as arrays:
        numbers = [int(found[1]) for name in arrays.files if (found := BLOCK.search(name))]
    blocks = getattr(network, "blocks", None)
    if numbers and blocks is not None and 1 + max(numbers) != len(blocks):
        raise WeightsError(f"{file} has {1 + max(numbers)} blocks, and the network has {len(blocks)}")
