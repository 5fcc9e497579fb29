"""What a result folder cannot be used for; apart from the store, so that naming it imports nothing."""


class StoreError(RuntimeError):
    """The result folder cannot be used; the message is one line and says what to do."""


class SchemaTooNew(StoreError):  # noqa: N818 -- reads better in `except SchemaTooNew`
    """The result folder was written by a newer sparsebench."""
