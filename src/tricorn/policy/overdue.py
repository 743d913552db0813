"""Who has had enough time is killed, with its reason. Pure.

A child that starts or drains for too long, or whose channel is closed; a template that imports for too long, or does not
tell of deaths.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import chain
from typing import Final

from tricorn.policy.census import Census, Child, ChildState, Template, TemplateState
from tricorn.policy.orders import Kill, KillTemplate, Order, Retire

REACTION: Final = 5.0
"""Seconds within which a death is reported: by the template that reaps, after a channel has ended or a kill was sent."""


def kills(census: Census, besides: Iterable[Order]) -> list[Order]:
    """Orders for everyone whose time is over, but for those whom the orders `besides` retire or kill only now."""
    besides = tuple(besides)
    retired = {(order.generation, order.slot) for order in besides if isinstance(order, Retire)}
    killed = {order.generation for order in besides if isinstance(order, KillTemplate)}
    orders: dict[tuple[int, int], Order] = {}
    for child in census.children:
        for due, reason in _child_limits(child, census):
            if census.now >= due and (child.generation, child.slot) not in retired:
                orders.setdefault((child.generation, child.slot), Kill(child.generation, child.slot, reason))
    templates: list[Order] = []
    for template in census.templates:
        reasons = [reason for due, reason in _template_limits(template, census) if census.now >= due]
        if reasons and template.generation not in killed:
            templates.append(KillTemplate(template.generation, reasons[0]))
    return [*orders.values(), *templates]


def deadlines(census: Census) -> Iterator[float]:
    """Every moment at which `kills` would have something new to say."""
    limits = chain(
        chain.from_iterable(_child_limits(child, census) for child in census.children),
        chain.from_iterable(_template_limits(template, census) for template in census.templates),
    )
    return (due for due, _ in limits)


def _child_limits(child: Child, census: Census) -> Iterator[tuple[float, str]]:
    """When this child has to be killed, and why; nothing when it may go on, or was killed already."""
    if child.killed:
        return
    shape = census.shapes[child.generation]
    if child.state is ChildState.STARTING:
        yield child.since + shape.start_timeout, f"not ready after {shape.start_timeout:g} s (start_timeout)"
    if child.state is ChildState.DRAINING:
        timeout = shape.graceful_timeout
        yield child.since + timeout, f"still busy {timeout:g} s after it was retired (graceful_timeout)"
    if child.silent_since is not None:
        yield child.silent_since + REACTION, "its channel is closed, so it cannot be told anything"


def _template_limits(template: Template, census: Census) -> Iterator[tuple[float, str]]:
    """When this template has to be killed, and why; nothing when it may go on, or was killed already."""
    if template.killed:
        return
    if template.state is TemplateState.IMPORTING:
        timeout = census.shapes[template.generation].start_timeout
        yield template.since + timeout, f"the application is not imported after {timeout:g} s (start_timeout)"
    for child in census.children:
        if child.generation == template.generation and child.killed and not child.orphaned:
            yield child.since + REACTION, f"child {child.slot} was killed, and it does not tell of its end"
