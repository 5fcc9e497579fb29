"""The tokens of one domain's files as one stream that is cut into windows, and the place in it."""

import hashlib
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from dataclasses import field as dataclass_field
from pathlib import Path
from typing import Any

from ...errors import DryStreamError, TextFileError
from ..windows import Tokenizer, encode
from .files import Record, records

PROBE = "naïve, café – 日本\n\tThe 3 quick brown foxes; def f(x): return x ** 2"
"""Text whose tokens distinguish a tokenizer from others: a place counts tokens, so it holds for one tokenizer only."""


@dataclass
class Counts:
    """Documents, those of them that are blank, tokens (with separators) and bytes of UTF-8 text."""

    documents: int = 0
    blank: int = 0
    tokens: int = 0
    bytes: int = 0


@dataclass
class Place:
    """The next token: its file, the record in it, how many of the record's tokens were given, and the epoch."""

    file: int = 0
    start: int = 0
    used: int = 0
    epoch: int = 0


@dataclass
class _Piece:
    """The tokens of one record, where it lies and how far it was given."""

    place: Place
    record: Record
    tokens: list[int]


@dataclass
class DomainStream:
    """Windows of ``length`` tokens of one domain: its documents in the order of ``files``, ``separator`` after each.

    Nothing is shuffled and nothing skipped: where one window ends, the next starts; a blank document gives no token.
    At the end of the last file, ``repeat`` starts over at the first; without it, `take` raises `DryStreamError`.
    ``counts`` counts a record when all its tokens were given, with ``repeat`` each time.
    """

    domain: str
    files: Sequence[Path]
    tokenizer: Tokenizer
    length: int
    field: str = "text"
    separator: str = "\n\n"
    repeat: bool = False
    counts: Counts = dataclass_field(default_factory=Counts)

    def __post_init__(self) -> None:
        if self.length < 1:
            raise ValueError(f"length must be at least 1 token, not {self.length}")
        self._separator = encode(self.tokenizer, self.separator)
        self._identity = self._what_places_depend_on()
        self._given = 0
        self._go_to(Place())

    def take(self, count: int = 1) -> list[list[int]]:
        """The next ``count`` windows. Raises `DryStreamError`, and `TextFileError` where a file cannot be read."""
        wanted = self._given + count * self.length
        return [self._window(wanted) for _ in range(count)]

    def read_all(self) -> Counts:
        """Read what is left of the files once, without giving windows; the counts of all that was read."""
        while self._fill():
            self._finish_given(everything=True)
        self._held = 0
        return self.counts

    def state_dict(self) -> dict[str, Any]:
        """The place of the next token, and what it depends on."""
        # What was read beyond the first piece with tokens left is read again after a stop.
        place = self._pending[0].place if self._pending else self._next
        return {**self._identity, "place": asdict(place), "counts": asdict(self.counts), "given": self._given}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go to that place. Raises ValueError where files, tokenizer or settings are not those of the state."""
        for key, value in self._identity.items():
            if state.get(key) != value:
                raise ValueError(
                    f"domain {self.domain!r}: {key} was {state.get(key)!r} when the state was saved, and is {value!r} "
                    "now; go on with what it was, or start from the beginning without the state"
                )
        self.counts = Counts(**state["counts"])
        self._given = state["given"]
        self._go_to(Place(**state["place"]))

    def _window(self, wanted: int) -> list[int]:
        while self._held < self.length:
            if not self._fill():
                self._start_over(wanted)
        window: list[int] = []
        while len(window) < self.length:
            window += self._give(self.length - len(window))
        return window

    def _give(self, most: int) -> list[int]:
        """At most so many tokens of the first piece."""
        piece = self._pending[0]
        start = piece.place.used
        tokens = piece.tokens[start : start + most]
        piece.place.used += len(tokens)
        self._held -= len(tokens)
        self._given += len(tokens)
        self._finish_given()
        return tokens

    def _finish_given(self, everything: bool = False) -> None:
        while self._pending and (everything or self._pending[0].place.used == len(self._pending[0].tokens)):
            piece = self._pending.popleft()
            self.counts.documents += piece.record.closes
            self.counts.blank += _is_blank(piece.record)
            self.counts.tokens += len(piece.tokens)
            self.counts.bytes += len(piece.record.text.encode())

    def _fill(self) -> bool:
        """Read one more record; whether there was one."""
        piece = next(self._reader, None)
        if piece is None:
            return False
        self._pending.append(piece)
        self._held += len(piece.tokens)
        self._next = Place(piece.place.file, piece.record.end, 0, piece.place.epoch)
        return True

    def _start_over(self, wanted: int) -> None:
        """Begin the next epoch where that is the rule and there is any text."""
        read = self._given + self._held
        if not read:
            raise TextFileError(f"domain {self.domain!r} has no text in its {len(self.files)} files; add some")
        if not self.repeat:
            raise DryStreamError(
                f"domain {self.domain!r} ran dry: {read} tokens read, {wanted} wanted; "
                "add files, ask for fewer tokens, or read it again and again with repeat=True"
            )
        self._next = Place(epoch=self._next.epoch + 1)
        self._reader = self._read(self._next)

    def _go_to(self, place: Place) -> None:
        self._pending: deque[_Piece] = deque()
        self._held = 0
        self._next = place
        self._reader = self._read(place)
        if place.used and self._fill():
            self._pending[0].place.used = place.used
            self._held -= place.used

    def _read(self, place: Place) -> Iterator[_Piece]:
        start = place.start
        for number in range(place.file, len(self.files)):
            for record in records(self.files[number], self.field, start):
                yield _Piece(Place(number, record.start, 0, place.epoch), record, self._tokens(record))
            start = 0

    def _tokens(self, record: Record) -> list[int]:
        if _is_blank(record):
            return []
        tokens = encode(self.tokenizer, record.text)
        if record.closes:
            tokens += self._separator
        return tokens

    def _what_places_depend_on(self) -> dict[str, Any]:
        files = [(file.name, file.stat().st_size) for file in self.files]
        return {
            "files": hashlib.sha256(repr(files).encode()).hexdigest(),
            "tokenizer": hashlib.sha256(repr(encode(self.tokenizer, PROBE)).encode()).hexdigest(),
            "length": self.length,
            "field": self.field,
            "separator": self.separator,
        }


def _is_blank(record: Record) -> bool:
    """Whether it is a whole document without text."""
    return record.opens and record.closes and not record.text.strip()
