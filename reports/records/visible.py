"""Texts of others as terminals and tables may show them: names and errors of plug-ins, records from anywhere."""

import re

CONTROL = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f]")
"""Characters that a terminal obeys in place of showing them, but for tabs and line breaks."""


def visible(text: str) -> str:
    r"""The text with control characters written out, as `\x1b`: by them a terminal could be told anything."""
    return CONTROL.sub(lambda found: f"\\x{ord(found[0]):02x}", text)


def is_text(text: str) -> bool:
    """Whether it is Unicode: names of files may be bytes that are no text, and JSON can say halves of a character."""
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
