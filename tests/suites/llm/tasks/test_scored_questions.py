"""Whatever a language task scores is compared with what is trained on: a task that is added here must be covered."""

from collections.abc import Iterable

import pytest

from sparsebench.data.labelled.table import Text
from sparsebench.data.own import conversations, glue, labelled
from sparsebench.data.text import own_text
from sparsebench.data.text.decontamination import scored
from sparsebench.data.text.domains import DOMAINS
from sparsebench.data.text.instructions import sources_of
from sparsebench.data.text.training_parts import SOURCES
from sparsebench.suites.llm.bits_per_byte.domains import DomainsTask
from sparsebench.suites.llm.bits_per_byte.router_training import RouterTrainingTask
from sparsebench.suites.llm.bits_per_byte.task import BitsPerByteTask
from sparsebench.suites.llm.deployment.task import DeploymentTask
from sparsebench.suites.llm.encoders.task import TextTask
from sparsebench.suites.llm.multiple_choice.choice_task import ChoiceTask
from sparsebench.suites.llm.multiple_choice.harness_task import HarnessTask
from sparsebench.suites.llm.training.instructions import InstructionTask
from sparsebench.suites.llm.training.pretraining import PretrainingTask
from sparsebench.suites.runner.discovery.loading import load_task
from sparsebench.suites.runner.discovery.registry import entries

OWN = {own_text.SOURCE, labelled.SOURCES["text"], conversations.SOURCE, glue.SOURCE}
TASKS = {
    name: load_task(entry)
    for name, entry in entries("task", "llm").items()
    if entry.sources and not set(entry.sources) & OWN
}
"""Those that read a source; the others make up their data, or train on and score parts of the user's own text."""


def of_kind(kind: type) -> dict[str, object]:
    return {name: task for name, task in TASKS.items() if isinstance(task, kind)}


def test_every_kind_of_task_is_looked_at_below() -> None:
    kinds = (HarnessTask, TextTask, ChoiceTask, BitsPerByteTask, DomainsTask, RouterTrainingTask)
    kinds += (PretrainingTask, InstructionTask, DeploymentTask)
    assert [name for name, task in TASKS.items() if not isinstance(task, kinds)] == []
    assert len(of_kind(HarnessTask)) > 10 and len(of_kind(TextTask)) > 5 and len(of_kind(ChoiceTask)) == 3


def test_sets_of_the_harness_are_compared() -> None:
    names = {task.harness_name for task in of_kind(HarnessTask).values()}  # type: ignore[attr-defined]
    # MMLU is among the reserved questions, with which instructions are compared.
    assert names - set(scored.VALIDATION_SETS) == {"lambada_openai", "mmlu_prompted"}
    assert any(pattern.startswith("lambada/") for pattern in scored.ASKED)


def test_domains_are_those_whose_test_halves_are_compared() -> None:
    for name, task in TASKS.items():
        domains = getattr(task, "domains", None) or [getattr(task, "domain", DOMAINS[0])]
        assert set(domains) <= set(DOMAINS), name


def test_tasks_that_train_on_text_declare_the_sources_of_what_it_is_compared_with() -> None:
    needed = {name: set(SOURCES) for name in of_kind(PretrainingTask)}
    for name, task in of_kind(InstructionTask).items():
        needed[name] = {source for group in task.groups for source in sources_of(group.split(",")[0])}  # type: ignore[attr-defined]
    for name, sources in needed.items():
        assert sources <= set(TASKS[name].sources), name


@pytest.fixture(scope="module")
def asked() -> set[str]:
    return {words(text) for text in scored.scored_questions()}


def words(text: str) -> str:
    """Its words in the order of the alphabet: the task `word_order` exchanges two of a text that is compared."""
    return " ".join(sorted(text.split()))


@pytest.mark.data
def test_texts_and_questions_of_the_trained_tasks_are_compared(asked: set[str]) -> None:
    for name, task in {**of_kind(TextTask), **of_kind(ChoiceTask)}.items():
        missing = [text for text in texts(task) if not is_compared(text, asked)]
        assert not missing, f"{name}: {len(missing)} scored texts are not compared, such as {missing[0]!r}"


def is_compared(text: Text, asked: set[str]) -> bool:
    """A pair may be compared as one text, or each of the two by itself."""
    if isinstance(text, str):
        return words(text) in asked
    return words(" ".join(text)) in asked or all(words(one) in asked for one in text)


def texts(task: object) -> Iterable[Text]:
    """What is scored, as it stands in the source."""
    if isinstance(task, ChoiceTask):
        return [scored._bare(question.prompt) for question in task.questions().test]
    assert isinstance(task, TextTask)
    return task.parts().test.texts
