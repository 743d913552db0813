"""A real server inside a test: started as its own process, learned from its own log, and checked for leftovers.

    from tricorn.testing import Server

    with Server("myproject.wsgi:application", mpm="event") as server:
        response = urllib.request.urlopen(server.url + "/")

Nothing here is used by the server itself, and nothing here is a mock: what is tested is `tricorn serve`.
"""

from __future__ import annotations

from tricorn.testing.log import Log, NotLoggedError
from tricorn.testing.processes import Process, processes_of
from tricorn.testing.server import LeftoverError, Server, StartFailedError

__all__ = [
    "LeftoverError",
    "Log",
    "NotLoggedError",
    "Process",
    "Server",
    "StartFailedError",
    "processes_of",
]
