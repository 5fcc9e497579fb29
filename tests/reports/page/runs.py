"""Records of two rows, a claim about them, and how their suite is presented."""

import dataclasses

from sparsebench.reports.tables.suite_table import SuiteInfo

from ..tables.claims.studies import CLAIM

INFOS = {"vtab": SuiteInfo(title="Vision", description="Small images.", baseline="base", unit="image")}


def records(make):
    return make.side("base", [0.5, 0.51, 0.52]) + make.side("LoRA", [0.7, 0.71, 0.72])


LORA = dataclasses.replace(CLAIM, statement="LoRA helps.", suite="vtab", metric="accuracy", backbone="vit-tiny")


def claim(id_, rows, ours=False):
    return dataclasses.replace(LORA, id=id_, rows=rows, ours=ours)
