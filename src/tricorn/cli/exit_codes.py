"""The sentence about exit codes that every --help ends with. The codes themselves are in `tricorn.errors`."""

from __future__ import annotations

EXIT_CODES = (
    "Exit codes: 0 done, 1 unforeseen error, 2 wrong configuration, 3 the application cannot be loaded,"
    " 4 an address cannot be listened on, 5 no child became ready."
)
