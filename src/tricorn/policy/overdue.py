"""Who has had enough time: what is starting, importing or draining for too long is killed, with its reason. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain

from tricorn.policy.census import Census, Child, ChildState, Shape, Template, TemplateState
from tricorn.policy.orders import Kill, KillTemplate, Order, Retire


def kills(census: Census, besides: Iterable[Order]) -> list[Order]:
    """Orders for everyone whose time is over, but for those whom the orders `besides` retire only now."""
    orders: list[Order] = []
    retired = {(order.generation, order.slot) for order in besides if isinstance(order, Retire)}
    for child in census.children:
        if (child.generation, child.slot) in retired:
            continue
        due = child_due(child, census.shapes[child.generation])
        if due is not None and census.now >= due:
            orders.append(Kill(child.generation, child.slot, _why(child, census.shapes[child.generation])))
    for template in census.templates:
        due = template_due(template, census.shapes[template.generation])
        if due is not None and census.now >= due:
            timeout = census.shapes[template.generation].start_timeout
            reason = f"the application is not imported after {timeout:g} s (start_timeout)"
            orders.append(KillTemplate(template.generation, reason))
    return orders


def deadlines(census: Census) -> Iterator[float]:
    """Every moment at which `kills` would have something new to say."""
    children: Iterable[float | None] = (child_due(child, census.shapes[child.generation]) for child in census.children)
    templates = (template_due(template, census.shapes[template.generation]) for template in census.templates)
    return (due for due in chain(children, templates) if due is not None)


def child_due(child: Child, shape: Shape) -> float | None:
    """When this child has to be killed; None when it may go on, or was killed already."""
    if child.killed or child.state is ChildState.READY:
        return None
    return child.since + (shape.start_timeout if child.state is ChildState.STARTING else shape.graceful_timeout)


def template_due(template: Template, shape: Shape) -> float | None:
    """When this template has to be killed; None when it may go on, or was killed already."""
    if template.killed or template.state is not TemplateState.IMPORTING:
        return None
    return template.since + shape.start_timeout


def _why(child: Child, shape: Shape) -> str:
    if child.state is ChildState.STARTING:
        return f"not ready after {shape.start_timeout:g} s (start_timeout)"
    return f"still busy {shape.graceful_timeout:g} s after it was retired (graceful_timeout)"
