"""Names of rows and tasks as folders, files and repositories may have them."""

import hashlib
import re

LONGEST = 60
_OTHER = re.compile(r"[^A-Za-z0-9._]+")


def file_name(text: str) -> str:
    """A text in letters, digits, ".", "_" and "-"; one that had to change ends in eight digits of its digest.

    So different texts have different names, on every file system and as names of repositories on the hub.

    Args:
        text: any, "MoE shared 50 % on vit_tiny_s" for instance.

    Returns:
        "MoE-shared-50-on-vit_tiny_s-" and the digits.
    """
    plain = _OTHER.sub("-", text).strip("-.")[:LONGEST].rstrip("-.")
    plain = re.sub(r"\.{2,}", ".", plain)
    if plain and plain == text.lower():
        return plain
    return f"{plain}-{hashlib.sha256(text.encode()).hexdigest()[:8]}".lstrip("-")
