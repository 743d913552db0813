"""The parent: one process with one thread that owns the sockets, orders the forks, and survives every child's death.

It never imports the application and never waits for anything but events. `startup.serve` is its whole life.
"""

from tricorn.parent.startup import serve

__all__ = ["serve"]
