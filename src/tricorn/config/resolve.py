"""Joining the sources: command line over environment over file over default, directive by directive."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TypeVar, cast

from tricorn.config.directives import serving, table
from tricorn.config.directives.shape import EVERY_MPM, Directive
from tricorn.config.origins import DEFAULT, Layer, Stated
from tricorn.config.settings import Mpm

T = TypeVar("T")


@dataclass(frozen=True)
class Resolution:
    """Every directive's value with its origin, for the selected MPM and for those that a source speaks of by name."""

    mpm: Mpm
    shared: Mapping[str, Stated]
    """Directives that are the same for all MPMs."""
    of_mpm: Mapping[Mpm, Mapping[str, Stated]]
    """Directives that each MPM has of its own: the selected one, and the others that were configured."""

    @property
    def in_force(self) -> Mapping[str, Stated]:
        """All directives of the selected MPM."""
        return {**self.shared, **self.of_mpm[self.mpm]}

    def stated(self, directive: Directive[T], mpm: Mpm | None = None) -> Stated:
        """The value of a directive and where it comes from, under the selected MPM or under `mpm`."""
        return (self.of_mpm[mpm or self.mpm] if directive.per_mpm else self.shared)[directive.name]

    def value(self, directive: Directive[T], mpm: Mpm | None = None) -> T:
        """The value of a directive, under the selected MPM or under `mpm`."""
        return cast("T", self.stated(directive, mpm).value)


def resolve(layers: Sequence[Layer]) -> tuple[Resolution, list[str]]:
    """Join `layers`, the strongest first, and tell what the selected MPM does not have."""
    selected = cast("Mpm", joined(layers, serving.MPM, Mpm.EVENT, Mpm.EVENT).value)
    configured = {mpm for layer in layers for mpm, stated in layer.of_mpm.items() if stated}
    shared = {
        directive.name: joined(layers, directive, selected, selected) for directive in table() if not directive.per_mpm
    }
    of_mpm = {
        mpm: {
            directive.name: joined(layers, directive, mpm, selected)
            for directive in table()
            if directive.per_mpm and mpm in directive.mpms
        }
        for mpm in EVERY_MPM
        if mpm is selected or mpm in configured
    }
    problems = [
        f"{layer.stated[directive.name]}: the {selected.value} MPM has no {directive.name}; {directive.instead}."
        for layer in layers
        for directive in table()
        if directive.name in layer.stated and directive.per_mpm and selected not in directive.mpms
    ]
    return Resolution(selected, shared, of_mpm), problems


def joined(layers: Sequence[Layer], directive: Directive[T], mpm: Mpm, selected: Mpm) -> Stated:
    """The strongest statement about a directive, or all of them together where its kind merges."""
    found = [stated for layer in layers if (stated := layer.get(directive, mpm, selected)) is not None]
    found.append(Stated(directive.default_for(mpm), (DEFAULT,)))
    if not directive.kind.merges:
        return found[0]
    value, origins = found[-1].value, found[-1].origins
    for lower in reversed(found[:-1]):
        merged = directive.kind.merge(lower.value, value)
        # A part that is wholly overridden has no part in the origin.
        origins = (*lower.origins, *(origins if merged != lower.value else ()))
        value = merged
    if not directive.default:
        origins = tuple(origin for origin in origins if origin != DEFAULT) or (DEFAULT,)
    return Stated(value, tuple(dict.fromkeys(origins)))
