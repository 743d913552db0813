"""The sentences about exit codes that every --help ends with. The codes themselves are in `tricorn.errors`."""

from __future__ import annotations

EXIT_CODES = (
    "Exit codes: 0 done, 1 unforeseen error, 2 wrong configuration, 3 the application cannot be loaded,"
    " 4 an address cannot be listened on, 5 no child became ready."
)

VERB_EXIT_CODES = (
    "Exit codes: 0 done, 1 unforeseen error, 2 refused or wrong usage, 3 the application cannot be loaded, 5 no child"
    " became ready, 6 no server was found or it went away without an answer, 7 not done within --timeout."
)
