"""The logs: the format of error log lines, the files, and the stream an application gets as `wsgi.errors`."""

from tricorn.logs.error_log import ErrorLog
from tricorn.logs.errors_stream import ErrorsStream
from tricorn.logs.files import LogFiles, Reopened, open_logs, reopen

__all__ = ["ErrorLog", "ErrorsStream", "LogFiles", "Reopened", "open_logs", "reopen"]
