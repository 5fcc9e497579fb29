"""A model of another shape loads without a table on the terminal, and how much is told otherwise stays as it was."""

import logging
from pathlib import Path

import pytest
from transformers import LlamaConfig, LlamaForCausalLM

from sparsebench.models.hub.load_report import no_report

SIZES = {"vocab_size": 8, "hidden_size": 8, "num_hidden_layers": 1, "num_attention_heads": 2}


def test_no_table(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    logger = logging.getLogger("transformers")
    logger.addHandler(caplog.handler)
    try:
        LlamaForCausalLM(LlamaConfig(**SIZES, intermediate_size=8)).save_pretrained(tmp_path)
        other = LlamaConfig(**SIZES, intermediate_size=16)
        tables = []
        for told in (True, False):
            caplog.clear()
            if told:
                LlamaForCausalLM.from_pretrained(tmp_path, config=other, ignore_mismatched_sizes=True)
            else:
                with no_report():
                    LlamaForCausalLM.from_pretrained(tmp_path, config=other, ignore_mismatched_sizes=True)
            tables.append("LOAD REPORT" in caplog.text)
        assert tables == [True, False]
    finally:
        logger.removeHandler(caplog.handler)
