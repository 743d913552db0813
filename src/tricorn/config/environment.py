"""What the environment states: `TRICORN_...`, and the variables of platforms (`PORT`, `WEB_CONCURRENCY`, Kubernetes').

`TRICORN_THREADS_PER_CHILD` is meant for the selected MPM, `TRICORN_EVENT_THREADS_PER_CHILD` for event alone. A variable
of ours that is not known is told and passed over, not refused: images set things like TRICORN_VERSION.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from tricorn.config.directives import lifecycle, table
from tricorn.config.directives.shape import PREFIX, Directive
from tricorn.config.names import nearest
from tricorn.config.origins import Layer, Origin, Source
from tricorn.config.settings import Mpm

CONFIG_VARIABLE = PREFIX + "CONFIG"
UPGRADE_VARIABLE = PREFIX + "UPGRADE"
"""What a running server hands to its successor; no directive, and none of the configuration's business."""
KUBERNETES = "KUBERNETES_SERVICE_HOST"
"""Kubernetes puts it into every container. It takes a pod out of its services while it stops the pod, not before."""
KUBERNETES_DRAIN_DELAY = "5"
# What Kubernetes and Docker links put into every container beside a service that is named "tricorn".
SERVICE_LINK = re.compile(r"TRICORN_(SERVICE_(HOST|PORT.*)|PORT_[0-9]+_(TCP|UDP).*|PORT)")
SERVICE_ADDRESS = re.compile(r"(tcp|udp)://.*")


def read(variables: Mapping[str, str]) -> Layer:
    """What Tricorn's own variables state."""
    layer = Layer()
    known: dict[str, tuple[Directive[Any], Mpm | None]] = {}
    for directive in table():
        known[directive.variable()] = (directive, None)
        if directive.per_mpm:
            known.update({directive.variable(mpm): (directive, mpm) for mpm in directive.mpms})
    for name in sorted(variables):
        if not name.startswith(PREFIX) or name in (CONFIG_VARIABLE, UPGRADE_VARIABLE):
            continue
        if name in known:
            directive, mpm = known[name]
            layer.add(directive, variables[name], Origin(Source.ENVIRONMENT, name), mpm)
        elif not is_service_link(name, variables[name]):
            layer.warnings.append(f"environment variable {name} is not known and has no effect{meant(name, known)}.")
    for mpm, stated in layer.of_mpm.items():
        for name in sorted(stated.keys() & layer.stated.keys()):
            layer.problems.append(
                f"{layer.stated[name]} and {stated[name]} both decide {name} of the {mpm.value} MPM: keep one of them."
            )
    return layer


def meant(name: str, known: Iterable[str]) -> str:
    """The end of a sentence that offers the nearest variable. What all of ours begin with makes none of them nearer."""
    by_rest = {word.removeprefix(PREFIX).lower(): word for word in known}
    near = nearest(name.removeprefix(PREFIX).lower(), by_rest)
    return "" if near is None else f" (did you mean {by_rest[near]}?)"


def read_platform(variables: Mapping[str, str]) -> Layer:
    """What variables state that are not ours but agreed on by platforms; an empty one states nothing."""
    layer = Layer()
    for directive in table():
        for variable in directive.variables:
            if text := variables.get(variable.name, ""):
                layer.add(directive, variable.prefix + text, Origin(Source.ENVIRONMENT, variable.name))
    foreign = sorted(
        name
        for name in variables
        if name in {"GUNICORN_CMD_ARGS", "SCRIPT_NAME"} or (name.startswith("UVICORN_") and len(name) > len("UVICORN_"))
    )
    if foreign:
        script = "; what gunicorn takes from SCRIPT_NAME is root_path here" if "SCRIPT_NAME" in foreign else ""
        layer.warnings.append(
            f"the environment has {', '.join(foreign)}: variables of gunicorn and uvicorn are not read; write what"
            f" they say as options, as TRICORN_ variables or into tricorn.toml{script}."
        )
    return layer


def read_surroundings(variables: Mapping[str, str]) -> Layer:
    """What follows from where the server runs, when nobody states it: the layer just above the defaults."""
    layer = Layer()
    if variables.get(KUBERNETES):
        layer.add(lifecycle.DRAIN_DELAY, KUBERNETES_DRAIN_DELAY, Origin(Source.ENVIRONMENT, KUBERNETES))
    return layer


def is_service_link(name: str, value: str) -> bool:
    """Whether a variable was made by a container platform for a service of our name."""
    if SERVICE_LINK.fullmatch(name) is None:
        return False
    return name != PREFIX + "PORT" or SERVICE_ADDRESS.fullmatch(value) is not None
