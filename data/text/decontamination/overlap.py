"""Whether texts have a run of words in common with others that must not be trained on.

As in the decontamination of GPT-3 (Brown et al., 2020, appendix C), texts are compared by their runs of 13 words,
shorter ones by all of their words. Words are runs of letters and digits in lower case, so that punctuation, case and
white space make no difference.
"""

import hashlib
import re
from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np

RUN = 13
"""Words of a run that two texts may not have in common."""
SHORTEST = 8
"""Fewer words occur in another text by chance: a text that short is only found as a whole text or line."""
TELLING = 3
"""Words of two letters or more that such a short text must have: "5 * 5 =" says nothing of where it comes from."""
CHUNK = 1 << 20
"""Words that are hashed at once."""

_MULTIPLIER = 0x9E3779B97F4A7C15  # of the polynomial hash modulo 2**64; odd, so that no bit of a word is lost
_WORD = re.compile(r"[^\W_]+")


def words(text: str) -> list[str]:
    """The words of a text in lower case, without punctuation."""
    return _WORD.findall(text.lower())


class Overlap:
    """The runs of words of ``texts``, to look for in other texts."""

    def __init__(self, texts: Iterable[str]) -> None:
        import numpy as np

        self._codes: dict[str, int] = {}
        self._short: set[str] = set()
        found: dict[int, list[np.ndarray]] = {length: [] for length in range(SHORTEST, RUN + 1)}
        for codes_N, owners_N in self._chunks(self._without_short(texts)):
            sizes = np.bincount(owners_N)
            for length, hashes_R, owners_R in _runs(codes_N, owners_N):
                if length < RUN:  # only of a text that is no longer than this
                    hashes_R = hashes_R[sizes[owners_R] == length]
                found[length].append(hashes_R)
        self._known: dict[int, np.ndarray] = {}
        for length, parts in found.items():
            if parts:
                self._known[length] = np.sort(np.concatenate(parts))

    def found_in(self, texts: Sequence[str]) -> list[bool]:
        """For each text, whether it has such a run, or is, or has a line that is, one of the short texts."""

        found = [self._has_short(text) for text in texts]
        first = 0
        for codes_N, owners_N in self._chunks(map(words, texts)):
            for length, hashes_R, owners_R in _runs(codes_N, owners_N):
                for owner in set(owners_R[self._is_known(length, hashes_R)].tolist()):
                    found[first + owner] = True
            first += 1 + int(owners_N[-1])
        return found

    def _is_known(self, length: int, hashes_R: "np.ndarray") -> "np.ndarray":
        """Whether each hash (R,) is that of a run of the texts."""
        import numpy as np

        known = self._known.get(length)
        if known is None or not len(known):
            return np.zeros(len(hashes_R), dtype=bool)
        places_R = np.searchsorted(known, hashes_R)
        return known[np.minimum(places_R, len(known) - 1)] == hashes_R

    def _without_short(self, texts: Iterable[str]) -> Iterator[list[str]]:
        """The words of all texts but the short ones, which are kept as they are."""
        for text in texts:
            found = words(text)
            if len(found) >= SHORTEST:
                yield found
            elif sum(len(word) > 1 and word.isalpha() for word in found) >= TELLING:
                self._short.add(" ".join(found))

    def _has_short(self, text: str) -> bool:
        lines = [text, *text.splitlines()]
        return any(" ".join(words(line)) in self._short for line in lines)

    def _chunks(self, texts: Iterable[list[str]]) -> Iterator[tuple["np.ndarray", "np.ndarray"]]:
        """Codes (N,) of the words of many texts, and the number of the text, from 0 on, that each word is of.

        A chunk ends with a text that has words, so that the last number tells how many texts it has.
        """
        import numpy as np

        codes: list[int] = []
        sizes: list[int] = []
        for text in texts:
            codes += map(self._code, text)
            sizes.append(len(text))
            if len(codes) >= CHUNK:
                yield np.array(codes, dtype=np.uint64), np.repeat(np.arange(len(sizes)), sizes)
                codes = []
                sizes = []
        if codes:
            yield np.array(codes, dtype=np.uint64), np.repeat(np.arange(len(sizes)), sizes)

    def _code(self, word: str) -> int:
        code = self._codes.get(word)
        if code is None:
            code = int.from_bytes(hashlib.blake2b(word.encode(), digest_size=8).digest(), "little")
            self._codes[word] = code
        return code


def _runs(codes_N: "np.ndarray", owners_N: "np.ndarray") -> Iterator[tuple[int, "np.ndarray", "np.ndarray"]]:
    """For each length, the hashes (R,) of the runs of so many words inside one text, and their texts' numbers."""
    import numpy as np

    hashes = codes_N
    for length in range(2, min(RUN, len(codes_N)) + 1):
        hashes = hashes[:-1] * np.uint64(_MULTIPLIER) + codes_N[length - 1 :]
        if length >= SHORTEST:
            inside = owners_N[: len(hashes)] == owners_N[length - 1 :]
            yield length, hashes[inside], owners_N[: len(hashes)][inside]
