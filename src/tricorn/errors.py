"""What can go wrong before and around serving, each with a sentence for the operator and an exit code.

Errors of one request are not here: they are answered on the wire and logged, and never end a process. The exception is the
one that applications meet.
"""

from __future__ import annotations


class TricornError(Exception):
    """The server cannot do what it was asked; the text says what to change. Never raised itself."""

    exit_code = 1


class ConfigError(TricornError):
    """A directive is unknown, malformed, contradicts another one, or cannot be had on this system."""

    exit_code = 2


class ApplicationError(TricornError):
    """The application cannot be imported, found or called."""

    exit_code = 3


class ListenError(TricornError):
    """An address cannot be listened on."""

    exit_code = 4


class StartError(TricornError):
    """No child became ready."""

    exit_code = 5


class RequestTimeout(BaseException):
    """The request takes longer than `timeout`; its client was answered, and nobody waits for what comes out of it.

    Raised by the server in the thread of the request, wherever that is. No `Exception`, as KeyboardInterrupt is none:
    `except Exception` is how applications try something again, and log and go on. `finally` and `with` see it.
    """

    def __init__(self, text: str = "the request took longer than timeout; its client was answered") -> None:
        super().__init__(text)
