"""Tokenising in several processes that live on between calls."""

import multiprocessing
from collections import deque
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ProcessPoolExecutor
from types import TracebackType
from typing import Any

from ...errors import ModelError
from .graph_input import single_molecules
from .tokenizer import CHUNK, TokenisedMolecules, Tokenizer, chunks, concatenate
from .vocabulary import Vocabulary

_AHEAD = 4  # chunks per process that are read before their turn

_tokenizer: Tokenizer | None = None  # of a worker process


def _start(kind: type[Tokenizer], vocabulary: Vocabulary, canonical_strings: bool) -> None:
    global _tokenizer
    _tokenizer = kind(vocabulary, canonical_strings=canonical_strings)


def _tokenise(items: list[Any]) -> TokenisedMolecules:
    assert _tokenizer is not None
    return _tokenizer(items)


class TokenizerPool:
    """A tokenizer in several processes, which start at the first call and end with `close` or the `with` block.

    Molecules must survive pickling; RDKit's do. A script that makes one needs the guard `if __name__ == "__main__"`, as
    with any processes that are spawned. A process that dies ends the pool with `BrokenProcessPool`.

    Args:
        vocabulary: as in `Tokenizer`.
        workers: processes, 1 or more.
        canonical_strings: as in `Tokenizer`.
        kind: the class of the tokenizer.
    """

    def __init__(
        self,
        vocabulary: Vocabulary,
        workers: int = 2,
        *,
        canonical_strings: bool = False,
        kind: type[Tokenizer] = Tokenizer,
    ) -> None:
        if workers < 1:
            raise ModelError(f"workers={workers} must be at least 1")
        self.vocabulary = vocabulary
        self.workers = workers
        context = multiprocessing.get_context("spawn")
        arguments = (kind, vocabulary, canonical_strings)
        self._pool = ProcessPoolExecutor(workers, mp_context=context, initializer=_start, initargs=arguments)

    def __call__(self, molecules: Iterable[Any]) -> TokenisedMolecules:
        """As `Tokenizer.__call__`, for more than one molecule."""
        return concatenate(list(self.stream(molecules)))

    def stream(self, molecules: Iterable[Any]) -> Iterator[TokenisedMolecules]:
        """Chunks in order; reads no further ahead than the processes need, so any number of molecules will do."""
        waiting: deque[Future[TokenisedMolecules]] = deque()
        try:
            for chunk in chunks(single_molecules(molecules), CHUNK):
                waiting.append(self._pool.submit(_tokenise, chunk))
                if len(waiting) >= _AHEAD * self.workers:
                    yield waiting.popleft().result()
            while waiting:
                yield waiting.popleft().result()
        finally:
            for future in waiting:
                future.cancel()

    def close(self) -> None:
        """End the processes."""
        self._pool.shutdown(cancel_futures=True)

    def __enter__(self) -> "TokenizerPool":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()
