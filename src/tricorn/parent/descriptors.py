"""How many descriptors a child may have open: raised before the first fork, since every process below inherits it.

Many systems give 1,024 to begin with (for programs that use select(2)) and allow far more. A child needs one for each
connection, and one more for each that has something in a temporary file.
"""

from __future__ import annotations

import resource

from tricorn.config.settings import Settings

_APPLICATION = 256
"""What the application may want for itself: databases, files, modules being imported."""


def needed(settings: Settings) -> int:
    """Descriptors of one child at its busiest."""
    return settings.capacity.max_open_connections * 2 + len(settings.listen.addresses) + _APPLICATION


def allow(settings: Settings) -> str | None:
    """Raise this process's limit as far as it is needed and allowed; a sentence for the operator if that is too little."""
    wanted = needed(settings)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return None
    allowed = wanted if hard == resource.RLIM_INFINITY else min(wanted, hard)
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (allowed, hard))
    except (OSError, ValueError):
        allowed = soft
    if allowed >= wanted:
        return None
    return (
        f"max_open_connections {settings.capacity.max_open_connections} may need {wanted} descriptors in a child, and"
        f" {allowed} are allowed: raise the limit (ulimit -n, LimitNOFILE=) or lower max_open_connections"
    )
