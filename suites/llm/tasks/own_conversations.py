"""Tuning on your own conversations, a JSONL file of yours; bits per byte of the answers in other ones"""

from ..training.own_conversations import OwnConversationsTask

CHECKS_DATA = True


class OwnConversations(OwnConversationsTask):
    """See `sparsebench.data.own.conversations` for the file and its parts."""

    version = "1"
    group = "own conversations"
    sources = ("own-conversations",)
