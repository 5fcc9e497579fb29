"""Prompts of MMLU."""

from typing import Any

from sparsebench.suites.llm.multiple_choice import mmlu_questions

SUBJECT = "high_school_biology"


def question(number: int) -> dict[str, Any]:
    return {"question": f" What is {number}? ", "subject": SUBJECT, "choices": list("wxyz"), "answer": number % 4}


def test_a_prompt_has_subject_examples_and_question() -> None:
    found = mmlu_questions.document(question(2), [question(1)])
    assert found["answer"] == 2
    assert found["prompt"] == (
        "The following are multiple choice questions (with answers) about high school biology.\n\n"
        "What is 1?\nA. w\nB. x\nC. y\nD. z\nAnswer: B\n\n"
        "What is 2?\nA. w\nB. x\nC. y\nD. z\nAnswer:"
    )
