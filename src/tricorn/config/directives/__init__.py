"""The table of directives: the single source of options, file keys, variables, checks, --help and the reference.

The entries live in the modules beside, by what they are about; `shape` says what an entry is.
"""

from __future__ import annotations

from functools import cache
from typing import Any

from tricorn.config.directives import capacity, children, clients, lifecycle, requests, serving
from tricorn.config.directives.shape import Directive, Section

__all__ = ["by_name", "table"]


@cache
def table() -> tuple[Directive[Any], ...]:
    """Every directive, by section and then in the order of definition."""
    found = [
        entry
        for module in (serving, capacity, children, clients, requests, lifecycle)
        for entry in vars(module).values()
        if isinstance(entry, Directive)
    ]
    order = list(Section)
    return tuple(sorted(found, key=lambda directive: order.index(directive.section)))


@cache
def by_name() -> dict[str, Directive[Any]]:
    """Every directive under its name."""
    return {directive.name: directive for directive in table()}
