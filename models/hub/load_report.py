"""The table that transformers prints of tensors that do not fit a model."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_report() -> Iterator[None]:
    """Within it the table is not printed: who asks for `output_loading_info` names such tensors in an error.

    Example::

        with no_report():
            model, found = AutoModel.from_pretrained(folder, output_loading_info=True, ignore_mismatched_sizes=True)
    """
    from transformers.utils import logging

    before = logging.get_verbosity()
    logging.set_verbosity_error()
    try:
        yield
    finally:
        logging.set_verbosity(before)
