"""VTAB-1K as published numbers take it: options chosen on val200, then trained on train800val200, last epoch."""

from collections.abc import Sequence
from dataclasses import replace

from torch import Tensor

from sparsebench.data.own.named_folders import not_named
from sparsebench.data.vision.vtab1k import OWN_IMAGES, VtabTask, own_images

from ..contracts.context import Context, LoadBackbone, Target
from ..contracts.method import Method
from ..contracts.task import Outcome
from ..contracts.traits import RELEASED_SETTINGS
from ..prediction.chosen import ChosenOnValidation
from ..prediction.data import Examples, Splits
from ..prediction.feature_extractor import FeatureExtractor
from .body import VisionBody
from .community_folder import FolderTask, VTAB1KTask, examples


def preprocessing(body: FeatureExtractor) -> str:
    """Size, interpolation and normalisation of the images, as the checkpoint's timm config states them, and which."""
    assert isinstance(body, VisionBody)
    resized = f"{body.size} x {body.size}, aspect ratio not kept, {body.interpolation.value}, no augmentation"
    normalised = f"{resized}; mean {_channels(body.mean)}, std {_channels(body.std)}"
    return f"{normalised}; {body.prepared_as}" if body.prepared_as else normalised


def _channels(values: Tensor) -> str:
    """By channel, of pixels from 0 to 1; once where all are the same."""
    shown = [f"{value / 255:.4g}" for value in values.flatten().tolist()]
    if len(set(shown)) == 1:
        return shown[0]
    return " ".join(shown)


class PublishedFolderTask(ChosenOnValidation, FolderTask):
    """A folder whose images to train on together are those of the list train800val200, in its order."""

    def about(self, body: FeatureExtractor) -> str:
        """Size and normalisation."""
        return preprocessing(body)

    def train_and_val(self, splits: Splits) -> Examples:
        """The list of all 1,000."""
        return examples(self.lists().train800val200)


class PublishedVTAB1KTask(PublishedFolderTask, VTAB1KTask):
    """One of the nineteen tasks."""

    gives = PublishedFolderTask.gives | {RELEASED_SETTINGS}


class OwnImagesTask(PublishedFolderTask):
    """Images of the user's, from the folder that `SPARSEBENCH_OWN_IMAGES` names; any number of them and of classes.

    `details["own data"]` says how many images each part has, and how many files are in none.
    """

    keeps_validation = True
    ordered_test = True  # class folders are read one after the other, and lists may be

    @property
    def target(self) -> Target:  # type: ignore[override]
        """One output for each class of the lists. Raises `NotApplicable` where there are none."""
        return Target("classification", self.lists().classes)

    @property
    def part_metrics(self) -> tuple[str, ...]:
        """Known without the folder."""
        return ("accuracy",)

    def missing(self) -> str | None:
        """No folder is named."""
        return not_named(OWN_IMAGES)

    def read(self) -> VtabTask:
        """The lists."""
        return own_images()

    def run(self, chain: Sequence[Method], load_backbone: LoadBackbone, context: Context) -> Outcome:
        """As every task with this protocol; the record says what became of the files."""
        outcome = super().run(chain, load_backbone, context)
        found = self.lists()
        counts = {"train": len(found.train800), "val": len(found.val200), "test": len(found.test)}
        details = {**outcome.details, "own data": counts | {"rejected": len(found.rejected)}}
        return replace(outcome, details=details)
