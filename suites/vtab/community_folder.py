"""Bases of the tasks whose images lie in a folder of the user's, in the layout of VTAB-1K."""

import os
from abc import abstractmethod
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from torch import Tensor

from sparsebench.data.own.named_folders import not_named
from sparsebench.data.sources import source
from sparsebench.data.vision.vtab1k import PARTS, SOURCE, ImageList, VtabTask, check_images, vtab1k
from sparsebench.data.vision.vtab1k.checks import say_test_copies
from sparsebench.data.vision.vtab1k.decoded import Form, find_decoded
from sparsebench.data.vision.vtab1k.resizing import resized
from sparsebench.data.vision.vtab1k.tasks import TWINS

from ..contracts.context import Target
from ..contracts.method import NotApplicable
from ..contracts.traits import RELEASED_SETTINGS
from ..prediction.data import Examples, Splits
from ..prediction.task import PredictionTask

MOST_KEPT = 2**30
"""Bytes of the pixels of a list that stay in memory: thirty photographs of twelve megapixels, 5,000 of 256 pixels."""


class LazyFolder(Sequence[np.ndarray]):
    """Images of an `ImageList`, opened when they are asked for: a test part need not fit into memory.

    ``few``: they are read at once where they were not decoded before (`data/vision/vtab1k/decoded.py`), and stay in
    memory: training asks for each of them in each epoch. Where that were more than `MOST_KEPT`, they stay as the
    network takes them.
    """

    def __init__(self, images: ImageList, indices: Sequence[int] | None = None, *, few: bool = False) -> None:
        self.images = images
        self.indices: Sequence[int] = range(len(images))
        if indices is not None:
            self.indices = indices
        self.few = few
        self._kept: list[np.ndarray] | None = None
        """None before they are read, empty where they are too large."""
        self._resized: dict[tuple[int, str], list[Tensor]] = {}

    def __len__(self) -> int:
        return len(self.indices)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, slice):
            return self.take(range(len(self))[index])
        return self.images[self.indices[index]][0]

    def take(self, rows: Sequence[int]) -> "LazyFolder":
        """Those of some rows, in this order; none is read."""
        part = LazyFolder(self.images, [self.indices[row] for row in rows], few=self.few)
        part._kept = self._kept and [self._kept[row] for row in rows]
        part._resized = {form: [images[row] for row in rows] for form, images in self._resized.items()}
        return part

    def decoded(self, size: int, interpolation: str) -> Sequence[Tensor] | None:
        """The images as `VisionBody.encode` makes them: from the cache of decoded ones, or, of few that are large, from
        memory; None for others.
        """
        found = find_decoded(self.images, Form(size=size, interpolation=interpolation), self.indices)
        if found is not None or not self.few or self.kept() is not None:
            return found
        form = (size, interpolation)
        if form not in self._resized:
            self._resized[form] = [resized(image[None], size, interpolation)[0] for image in self]
        return list(self._resized[form])

    def kept(self) -> list[np.ndarray] | None:
        """All images, read the first time; None unless they are few, and small enough to stay."""
        if not self.few:
            return None
        if self._kept is None:
            self._kept = self._read()
        return self._kept or None

    def _read(self) -> list[np.ndarray]:
        """All images; none where they are too large."""
        found: list[np.ndarray] = []
        size = 0
        for image in self:
            size += image.nbytes
            if size > MOST_KEPT:
                return []
            found.append(image)
        return found


class FolderTask(PredictionTask):
    """A task on such a folder: "n/a" where it is not there; where it is there and wrong, `LocalFolderError`."""

    @abstractmethod
    def missing(self) -> str | None:
        """Why there is nothing to read, or None. A named folder that does not exist is a mistake, and no reason."""

    @abstractmethod
    def read(self) -> VtabTask:
        """The lists, checked. Raises `DataError`."""

    def check_data(self) -> None:
        """Read all lists and all images, if they are there. Raises `DataError` for what is wrong with them."""
        if self.missing() is None:
            task = self.read()
            check_images([getattr(task, part) for part in PARTS])

    def lists(self) -> VtabTask:
        """The lists, checked. Raises `NotApplicable` where there are none."""
        reason = self.missing()
        if reason is not None:
            raise NotApplicable(reason)
        return self.read()

    def load(self) -> Splits:
        """Training and validation images are read together; test images as they are needed."""
        task = self.lists()
        return Splits(examples(task.train800), examples(task.val200), lazy_examples(task.test))


class VTAB1KTask(FolderTask):
    """One of the nineteen tasks of VTAB-1K (Zhai et al., arXiv 1910.04867), read from `SPARSEBENCH_VTAB1K`.

    Trained on train800 and validated on val200, so that rows here compare with the tasks that do the same. Published
    numbers come from training on all 1,000 after the choice: `published_protocol.py`.
    """

    name: str
    """Name of the task: that of its folder in the community layout, after "vtab1k_" or "vtab1k_published_"."""
    classes: int

    gives = PredictionTask.gives | {RELEASED_SETTINGS}

    @property
    def folder(self) -> str:
        """Name of the task's folder."""
        return self.name.removeprefix("vtab1k_").removeprefix("published_")

    @property
    def published_as(self) -> str:  # type: ignore[override]
        """The folder's name, which the community's repositories use, too."""
        return self.folder

    @property
    def target(self) -> Target:  # type: ignore[override]
        """One output for each class."""
        return Target("classification", self.classes)

    def missing(self) -> str | None:
        """No folder is named, or it lacks this task."""
        reason = not_named(SOURCE)
        if reason is not None:
            return reason
        root = named_folder(SOURCE)
        if root.is_dir() and not (root / self.folder).is_dir():
            return f"{root} has no folder {self.folder}"
        return None

    def read(self) -> VtabTask:
        """The lists of the task."""
        return vtab1k(self.folder)

    def check_data(self) -> None:
        """As of any folder; test images that are training images, too, are said."""
        super().check_data()
        if self.missing() is None and self.folder not in TWINS:
            task = self.read()
            say_test_copies({part: getattr(task, part) for part in PARTS})


def named_folder(name: str) -> Path:
    """The folder that the variable of a source names."""
    return Path(os.environ[source(name).environment]).expanduser()


def examples(part: ImageList) -> Examples:
    """The images of a part that trains or validates."""
    return Examples(LazyFolder(part, few=True), np.array(part.labels))


def lazy_examples(part: ImageList) -> Examples:
    """The images of a part, each read when it is needed."""
    return Examples(LazyFolder(part), np.array(part.labels))
