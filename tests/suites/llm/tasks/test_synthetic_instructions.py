"""The made-up questions follow their rule."""

from sparsebench.suites.llm.tasks.synthetic.synthetic_instructions import ASKED, COUNTS, LETTERS, letter_questions


def test_answers_follow_the_rule() -> None:
    for group in ("mathematics", "backwards"):
        parts = letter_questions(group)
        assert {part: len(members) for part, members in parts.items()} == COUNTS
        for question in (member for members in parts.values() for member in members):
            asked = question.messages[-1][1].removeprefix(f"{ASKED[group]}: ")
            if group == "mathematics":
                assert (LETTERS.index(question.answer) - LETTERS.index(asked)) % len(LETTERS) == 1
            else:
                assert question.answer == asked[::-1] and 2 <= len(asked) <= 4
