"""Models that a fresh process opens: the same loss, and what they take."""

from dataclasses import replace
from typing import Any

import pytest
import torch
from torch import nn

from sparsebench.models.anatomy import describe
from sparsebench.models.counting import stored_bytes
from sparsebench.reports.panels.deployment import PANEL
from sparsebench.suites.contracts.budget import Budget
from sparsebench.suites.contracts.context import Context
from sparsebench.suites.llm._markov import markov_documents
from sparsebench.suites.llm.backbones import tiny, tiny_mixture
from sparsebench.suites.llm.deployment.task import DIFFERENCE, DISK, DeploymentTask
from sparsebench.suites.methods.baselines.dense import Dense
from sparsebench.suites.methods.compression.quantise import Quantise
from sparsebench.suites.methods.moe.moe_shared import SharedSplit

CONTEXT = Context(suite="llm", task="t", seed=0, budget=Budget(batch_size=2, test_examples=2, calibration_examples=2))


class Synthetic(DeploymentTask):
    calibration_domains = ("forwards",)

    def documents(self, domain: str, part: Any) -> tuple[str, ...]:
        return markov_documents(part)


CELLS = [
    ([Dense()], torch.bfloat16),
    ([SharedSplit(train="none")], torch.float32),
    ([SharedSplit(train="none"), Quantise(method="rtn", train="none")], torch.float32),
]


@pytest.mark.parametrize(("row", "dtype"), CELLS, ids=["dense", "mixture", "packed"])
def test_a_fresh_process_reads_what_this_one_reads(row: list[Any], dtype: torch.dtype) -> None:
    outcome = Synthetic().run(row, tiny.load, replace(CONTEXT, dtype=dtype))
    assert outcome.metrics[DIFFERENCE].value <= 1e-6
    deployed = PANEL.parse(outcome.details["deployment"])
    assert outcome.costs is not None
    assert deployed.stored_bytes == outcome.costs.bytes
    # The files hold the weights, and a configuration of some kB.
    assert deployed.stored_bytes <= outcome.metrics[DISK].value <= deployed.stored_bytes + 20_000
    assert deployed.disk_bytes == outcome.metrics[DISK].value
    assert set(deployed.prefill) == set(deployed.decode) == {32, 128, 512}


def test_a_stock_mixture_that_lost_a_block() -> None:
    class WithoutABlock(Dense):
        def prepare(self, backbone: nn.Module, context: Context) -> nn.Module:
            describe(backbone).remove([1])
            return backbone

    cut = Synthetic().run([WithoutABlock()], tiny_mixture.load, CONTEXT)
    assert cut.metrics[DIFFERENCE].value <= 1e-6
    whole = tiny_mixture.load(torch.Generator().manual_seed(0)).model
    assert cut.metrics[DISK].value < 0.8 * stored_bytes(whole)
