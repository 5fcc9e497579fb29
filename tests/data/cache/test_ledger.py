"""What a process reads, and what it gives from memory."""

import threading

import pytest

from sparsebench.data.cache.ledger import FileRead, cached_reads, note, reading

ONE = FileRead("demo", "a.txt", 1, "aa")
TWO = FileRead("demo", "b.txt", 2, "bb")


def test_each_file_once_in_order():
    with reading() as reads:
        for read in (TWO, ONE, TWO):
            note(read)
    note(FileRead("demo", "after", 1, "cc"))
    assert reads.files() == (ONE, TWO)


def test_other_threads_count():
    with reading() as reads:
        thread = threading.Thread(target=note, args=(ONE,))
        thread.start()
        thread.join()
    assert reads.files() == (ONE,)


def test_lists_close_when_a_cell_fails():
    with pytest.raises(ValueError, match="broken"), reading() as failed:
        raise ValueError("broken")
    note(ONE)
    assert failed.files() == ()


def test_what_is_given_from_memory_still_counts():
    """A worker runs many cells, and only the first of them opens a file that all of them use."""
    calls: list[str] = []

    @cached_reads()
    def read(name: str) -> str:
        calls.append(name)
        note(ONE)
        return name

    @cached_reads(maxsize=1)
    def outer(name: str) -> str:
        note(TWO)
        return read(name)

    for _ in range(2):
        with reading() as reads:
            assert outer("a") == "a"
        assert reads.files() == (ONE, TWO)
    with reading() as reads:
        assert read("a") == "a"
    assert reads.files() == (ONE,)
    assert calls == ["a"]
