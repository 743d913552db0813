"""How many children `start_servers = "auto"` is: a pure function of facts."""

from __future__ import annotations

from tricorn.config.settings import Mpm


def automatic_children(mpm: Mpm, cpus: int) -> int:
    """Children for a machine that lets us use `cpus` CPUs.

    prefork: one that computes and one that waits for a database on each CPU, and one more. worker and event: threads
    wait, children compute; at least two, so that the death of one does not end all service.
    """
    return 2 * cpus + 1 if mpm is Mpm.PREFORK else max(2, cpus)
