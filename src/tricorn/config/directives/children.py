"""Directives about how long a child lives: the bounds at which it is replaced by a fresh one."""

from __future__ import annotations

from tricorn.config.directives.lifecycle import DAY
from tricorn.config.directives.shape import Change, Directive, Equivalents, Section
from tricorn.config.kinds import Integer, Seconds, Size

MOST = (1 << 32) - 1
TIB = 1 << 40

MAX_REQUESTS_PER_CHILD = Directive(
    name="max_requests_per_child",
    section=Section.CHILDREN,
    kind=Integer(0, MOST, "REQUESTS"),
    default=0,
    meaning="Requests after which a child is replaced; 0 is never. Each child draws its own number from the last tenth"
    " below it, so that children that started together do not leave together; the replacement is ready first.",
    reason="A child lives as long as the server; replacing it only hides a leak.",
    change=Change.RELOAD,
    equivalents=Equivalents("", "--max-requests", "--limit-max-requests"),
    flags=("--max-requests", "--limit-max-requests"),
    per_mpm=True,
)
MAX_CONNECTIONS_PER_CHILD = Directive(
    name="max_connections_per_child",
    section=Section.CHILDREN,
    kind=Integer(0, MOST, "CONNECTIONS"),
    default=0,
    meaning="Connections after which a child is replaced; 0 is never. A kept-alive connection counts once. Each child"
    " draws its own number from the last tenth below it; the replacement is ready first.",
    reason="A child lives as long as the server; replacing it only hides a leak.",
    change=Change.RELOAD,
    equivalents=Equivalents("MaxConnectionsPerChild", "", ""),
    per_mpm=True,
)
MAX_CHILD_LIFETIME = Directive(
    name="max_child_lifetime",
    section=Section.CHILDREN,
    kind=Seconds(0.0, 365 * DAY),
    default=0.0,
    meaning="Seconds after which a child is replaced, whatever it has done; 0 is never. Each child's own time is in the"
    " last tenth below it; the replacement is ready first.",
    reason="Age alone does no harm to a child.",
    change=Change.RELOAD,
    per_mpm=True,
)
MAX_CHILD_MEMORY = Directive(
    name="max_child_memory",
    section=Section.CHILDREN,
    kind=Size(0, TIB),
    default=0,
    meaning="Memory of its own (USS, in bytes: what would come free if it left) beyond which a child is replaced; 0 is"
    " never. The largest one first, one at a time, the replacement is ready before.",
    reason="Only its developer knows what the application needs; memory_limit is there for the whole.",
    change=Change.RELOAD,
    per_mpm=True,
)
