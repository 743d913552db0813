"""The version of the installed distribution, read from the name of its metadata directory.

Not by importlib.metadata, which loads 44 modules (the email package among them): the parent, which lives as long as the
server, would hold 2 MiB for one word in the log.
"""

from __future__ import annotations

import os
import sys
from typing import Final

_PREFIX: Final = "tricorn-"
_SUFFIX: Final = ".dist-info"
"""The directory is called NAME-VERSION.dist-info (Python packaging: recording installed projects)."""


def installed_version() -> str:
    """The version, or "(not installed)" where tricorn runs from a source tree that nobody installed."""
    for directory in sys.path:
        try:
            names = os.listdir(directory or os.curdir)
        except OSError:  # an entry of the search path may be an archive, or not exist
            continue
        for name in names:
            if name.startswith(_PREFIX) and name.endswith(_SUFFIX):
                return name.removeprefix(_PREFIX).removesuffix(_SUFFIX)
    return "(not installed)"
