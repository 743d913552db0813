"""Following the parent to other log files: the descriptors come over the channel, since only the parent may open files."""

from __future__ import annotations

from typing import Any

from tricorn.child.channel import Channel
from tricorn.child.messages import Reopen
from tricorn.logs import LogFiles


def reopen(logs: LogFiles, order: Reopen, channel: Channel[Any, Any]) -> None:
    """Take the descriptors of `order`, and have the numbers that everybody writes to stand for them."""
    error = channel.take_descriptor() if order.error else None
    access = channel.take_descriptor() if order.access else None
    logs.adopt(error, access)
