"""The logs: the format of error log lines, the files, and the stream an application gets as `wsgi.errors`."""

from tricorn.logs.error_log import ErrorLog
from tricorn.logs.errors_stream import ErrorsStream
from tricorn.logs.files import LogFiles, open_logs

__all__ = ["ErrorLog", "ErrorsStream", "LogFiles", "open_logs"]
