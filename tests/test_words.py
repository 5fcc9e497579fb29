"""One idea has one name: words that CONTRIBUTING.md rules out stand in no name and no text of the code."""

import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
ROOMS = ("models", "data", "suites", "reports")
STORED = {"fixed_share", "gradient_share", "stored_share"}
"""Names that saved models, profiles and records hold."""
NOUN = r"\b(a|an|the|of|its|their|this|each|every|same|equal|largest) {}s?\b"


def ruled_out() -> list[str]:
    rows = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8").partition("## Words")[2].splitlines()
    cells = [row.split("|")[3] for row in rows if row.count("|") == 4]
    return re.findall(r"`(\w+)`", " ".join(cells))


def uses(word: str, text: str) -> Iterator[str]:
    """Where a text of Python has the word: as a name that is a noun by its plural or its place, or in prose."""
    noun = re.compile(NOUN.format(word))
    for token in tokenize.generate_tokens(io.StringIO(text).readline):
        if token.type == tokenize.NAME:
            # A method `share()` is a verb; `share`, `shares` and `share_of` as values are nouns.
            called = token.line[token.end[1] :].startswith("(")
            parts = re.sub(r"(_[A-Z]\w*)$", "", token.string).split("_")
            is_noun = parts[-1] in (word, word + "s") or token.string == f"{word}_of"
            if is_noun and token.string not in STORED and not (called and token.string == word):
                yield f"{token.start[0]}: {token.string}"
        elif token.type in (tokenize.COMMENT, tokenize.STRING) and noun.search(token.string):
            yield f"{token.start[0]}: {noun.search(token.string)[0]}"


def test_the_list_is_read() -> None:
    assert {"share", "carve", "heat"} <= set(ruled_out())


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("shares = [1]\n", 1),
        ("x = share_of(1)  # the share\n", 2),
        ("group.share(x)\n# layers share memory\nfixed_share = 1\n", 0),
    ],
)
def test_nouns_are_found(text: str, count: int) -> None:
    assert len(list(uses("share", text))) == count


@pytest.mark.parametrize("word", ruled_out())
def test_the_word_stands_nowhere(word: str) -> None:
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / room).rglob("*.py")):
            text = path.read_text(encoding="utf-8")
            if word in text:
                found += [f"{path.relative_to(ROOT)}:{use}" for use in uses(word, text)]
    assert not found, "\n".join(found)
