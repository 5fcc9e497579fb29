"""Bases of the vision tasks: what splits of the data room become here."""

from collections.abc import Sequence
from typing import Any

import numpy as np

from sparsebench.data.vision.splits import VisionSplits
from sparsebench.data.vision.vtab1k import ImageList, vtab1k

from ..prediction.data import Examples, Splits
from ..prediction.task import PredictionTask


def mini(splits: VisionSplits) -> Splits:
    """800 + 200 + test images as examples."""
    return Splits(*(Examples(part.images, part.labels) for part in splits))  # type: ignore[arg-type]


class LazyFolder(Sequence[np.ndarray]):
    """Images of an `ImageList`, opened when they are asked for: a test part need not fit into memory."""

    def __init__(self, images: ImageList, indices: range | None = None) -> None:
        self.images = images
        self.indices = range(len(images))
        if indices is not None:
            self.indices = indices

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return LazyFolder(self.images, self.indices[index])
        return self.images[self.indices[index]][0]


class VTAB1KTask(PredictionTask):
    """One of the nineteen tasks of VTAB-1K (Zhai et al., arXiv 1910.04867), read from `SPARSEBENCH_VTAB1K`.

    Trained on train800 and validated on val200, so that rows here compare with the mini tasks. Published numbers come
    from training on all 1,000 after the choice. Raises `LocalFolderError` when the folder is not there.
    """

    folder: str
    """Name of the task's folder in the community layout."""

    def load(self) -> Splits:
        """Training and validation images are read at once; test images as they are needed."""
        task = vtab1k(self.folder)
        train, val = ([part[i][0] for i in range(len(part))] for part in (task.train800, task.val200))
        return Splits(
            Examples(train, np.array(task.train800.labels)),
            Examples(val, np.array(task.val200.labels)),
            Examples(LazyFolder(task.test), np.array(task.test.labels)),
        )
