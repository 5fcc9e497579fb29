"""Pre-training goes on over the user's own text."""

import os
from typing import Any, get_args

from sparsebench.data.cache.ledger import cached_reads
from sparsebench.data.identity import identity
from sparsebench.data.sources import source
from sparsebench.data.text.own_text import SOURCE, Part, own_documents, own_files
from sparsebench.data.text.windows import Tokenizer

from ...contracts.context import Context, LoadBackbone, Setup
from ...contracts.method import NotApplicable
from ...contracts.metrics import Scores
from ..bits_per_byte.task import DEFAULT_WINDOWS, WINDOW
from ..language.task import CausalLM
from .data import TextRows, text_windows
from .packing import Row
from .pretraining import MOST_VAL_WINDOWS, MOST_WINDOWS, PretrainingTask
from .task import TrainedLM


class OwnTextTask(PretrainingTask):
    """The domains are the folders in the folder of `SPARSEBENCH_OWN_TEXT`; n/a without it.

    A conversion sees the part "train", too: nothing but the user's text is read. The record names its files.
    """

    sources = (SOURCE,)

    @property
    def domains(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """In alphabetical order. Raises `DataError` where the folder is not as it should be."""
        return tuple(own_files())

    @property
    def calibration_domains(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        """All of them."""
        return self.domains

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        """Records of a part; "calibration" is "train"."""
        return own_documents(domain, "train" if part == "calibration" else part)

    def check_data(self) -> None:
        """Read each part of each domain, if a folder is named. Raises `DataError` for what is wrong with it."""
        if not os.environ.get(source(SOURCE).environment):
            return
        for domain in self.domains:
            for part in get_args(Part):
                self.documents(domain, part)

    def derive_data(self) -> None:
        """Nothing is made of the user's text."""

    def build(self, load_backbone: LoadBackbone, context: Context) -> Setup:
        """As every task that trains; the text is looked at before the model is loaded. Raises `NotApplicable` without
        any.
        """
        about = source(SOURCE)
        if not os.environ.get(about.environment):
            raise NotApplicable(f"there is no text of yours: set {about.environment} to its folder; {about.note}")
        self.check_data()
        return super().build(load_backbone, context)

    def text_rows(self, context: Context, tokenizer: Tokenizer, length: int) -> TextRows:
        """The same number of windows of each domain. Raises ValueError for a domain with too little text.

        Scoring needs as many windows as the budget says: where there are fewer, that is said before anything trains.
        """
        count = context.budget.test_examples or DEFAULT_WINDOWS
        for domain in self.domains:
            there = len(text_windows(domain, self.documents(domain, "test"), tokenizer, WINDOW, count))
            if there < count:
                raise ValueError(
                    f"the part 'test' of {domain!r} has {there} windows of {WINDOW} tokens, the budget scores {count}: "
                    f"add text, or --set budget.test_examples={there}"
                )
        train, held_out = _rows(identity(SOURCE), tokenizer, length)
        return TextRows(train, held_out, length, self.packed, context.device)

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Scores of the test part and the held-out part; `details` say how much of each domain was trained on."""
        assert isinstance(subject, TrainedLM)
        scores = super().evaluate(subject, context)
        about = {}
        for domain, files in own_files().items():
            about[domain] = {
                "files": len(files),
                "bytes": sum(file.stat().st_size for file in files),
                "windows": len(subject.data.only([domain]).train),
            }
        return Scores(scores.main, scores.metrics, scores.examples, {**scores.details, "own text": about})


@cached_reads(maxsize=2)
def _rows(content: str, tokenizer: Tokenizer, length: int) -> tuple[list[Row], list[Row]]:
    """Training and held-out rows of the folder with this content: the same in every cell."""
    train = OwnTextTask().windows("train", tokenizer, length, MOST_WINDOWS)
    return train, OwnTextTask().windows("val", tokenizer, length, MOST_VAL_WINDOWS)
