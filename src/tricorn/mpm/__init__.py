"""The multi-processing modules. Exactly one is in force; `select` gives it.

Each module says which driver moves the connections, how many threads a child has, and which of them listens to the
parent. Everything else (processes, sockets, HTTP, the gateway) is the same for all three and lives elsewhere.
"""

from tricorn.mpm.contract import Driver, Module, Superior
from tricorn.mpm.selection import select

__all__ = ["Driver", "Module", "Superior", "select"]
