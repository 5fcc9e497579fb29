"""The task: what comes out of a folder, in a process that knows nothing of this one."""

import math

import torch

from sparsebench.data.text.windows import token_bytes
from sparsebench.models.counting import stored_bytes
from sparsebench.reports.panels.deployment import Deployed, to_details
from sparsebench.reports.records.record import Metric
from sparsebench.reports.statistics.examples import CLUSTER

from ...contracts.context import Context
from ...contracts.metrics import Scores
from ..bits_per_byte.task import MAIN, WINDOW, bits_metric, check_bytes, ratio
from ..language.task import CausalLM, LanguageTask, cut_numbered
from ..training.task import reads
from .measurement import window_nats
from .reloading import reload

DIFFERENCE = "reload_difference"
DISK = "disk_bytes"
LENGTHS = (32, 128, 512)
"""Tokens of the prompts; a model that reads fewer at once gets those that leave room for what it writes."""
NEW_TOKENS = 32
DEFAULT_WINDOWS = 4


class DeploymentTask(LanguageTask):
    """Base of tasks on a saved model.

    The model is written by its `save_pretrained`, and a fresh process opens it by `AutoModelForCausalLM`. The score is
    what that process reads, in bits per byte; its distance from what this process reads is a metric of its own and
    should be 0. `budget.test_examples` is the number of windows of each domain. Memory and speed are in the details:
    they are not the same on another machine.
    """

    metric_names = (MAIN, DIFFERENCE, DISK)

    def evaluate(self, subject: CausalLM, context: Context) -> Scores:
        """Save, reload, compare."""
        check_bytes(subject.tokenizer)
        windows, documents = self._windows(subject, context)
        with torch.inference_mode():
            here = [window_nats(subject.model, torch.tensor(row, device=context.device)) for row in windows]
        most = reads(subject) - NEW_TOKENS
        lengths = [length for length in LENGTHS if length <= min(most, len(windows[0]))]
        seen, disk = reload(subject.model, windows, lengths, NEW_TOKENS, context.device.type)
        bits = [nats / math.log(2) for nats in seen.nats]
        sizes = [token_bytes(subject.tokenizer, row[1:]) for row in windows]
        tokens = sum(len(row) - 1 for row in windows)
        difference = sum(abs(a - b) for a, b in zip(here, seen.nats, strict=True)) / tokens
        metrics = {
            MAIN: bits_metric(*ratio(bits, sizes, documents), len(bits)),
            DIFFERENCE: Metric(value=difference, n=len(bits), higher_is_better=False, unit="nats/token"),
            DISK: Metric(value=disk, higher_is_better=False, unit="bytes"),
        }
        deployed = Deployed(
            stored_bytes=stored_bytes(subject.model),
            disk_bytes=disk,
            resident_bytes=seen.resident_bytes,
            peak_bytes=seen.peak_bytes,
            prefill=seen.prefill,
            decode=seen.decode,
        )
        return Scores(MAIN, metrics, {"bits": bits, "bytes": sizes, CLUSTER: documents}, to_details(deployed))

    def _windows(self, subject: CausalLM, context: Context) -> tuple[list[list[int]], list[str]]:
        """Windows of the test halves, domain by domain, and the document that each is of."""
        count = context.budget.test_examples or DEFAULT_WINDOWS
        length = int(min(WINDOW, reads(subject)))
        found: list[list[int]] = []
        documents: list[str] = []
        for domain in self.calibration_domains:
            windows, numbers = cut_numbered(self, domain, subject.tokenizer, length, count)
            found += windows
            documents += [f"{domain} {number}" for number in numbers]
        return found, documents
