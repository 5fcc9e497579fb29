"""What transformers prints beside an error that says the same."""

from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def no_report() -> Iterator[None]:
    """Within it transformers warns of nothing.

    Neither of tensors that do not fit a model, which who asks for `output_loading_info` names in an error, nor of a
    configuration that it cannot read.

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
