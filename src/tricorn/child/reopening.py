"""Following the parent to other log files: the descriptors come over the channel, since only the parent may open files."""

from __future__ import annotations

from typing import Any

from tricorn.child.channel import Channel
from tricorn.child.messages import Reopen
from tricorn.logs import LogFiles
from tricorn.logs.files import Reopened


def reopen(logs: LogFiles, order: Reopen, channel: Channel[Any, Any]) -> None:
    """Take the descriptors of `order`, and have the numbers that everybody writes to stand for them."""
    # Both are taken before anything can fail: they belong to this order.
    taken = Reopened(
        channel.take_descriptor() if order.error else None,
        channel.take_descriptor() if order.access else None,
    )
    try:
        logs.adopt(taken.error, taken.access)
    finally:
        # The old numbers stand for the files now. One that stayed open would keep the space of a log that was deleted.
        taken.close()
