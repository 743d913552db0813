"""Each directive, from each source, in each spelling. The samples are in `world`; one that lacks fails here."""

from __future__ import annotations

from typing import Any

import pytest

from tests.unit.config.world import SAMPLES, World
from tricorn.config.configuration import Configuration
from tricorn.config.directives import by_name, table
from tricorn.config.directives.shape import EVERY_MPM, Change, Directive, Section
from tricorn.config.origins import Source
from tricorn.config.settings import Mpm
from tricorn.errors import ConfigError
from tricorn.parent.generations import check_reloadable

DIRECTIVES = [pytest.param(directive, id=directive.name) for directive in table()]
SPELLINGS = [
    pytest.param(directive, flag, id=f"{directive.name}{flag}")
    for directive in table()
    for flag in (directive.option, *directive.flags)
    if directive.name != "app" and flag not in directive.fixed_flags
]
FIXED = [pytest.param(directive, flag, id=flag) for directive in table() for flag in directive.fixed_flags]
OF_EACH_MPM = [
    pytest.param(directive, mpm, id=f"{mpm.value}.{directive.name}")
    for directive in table()
    if directive.per_mpm
    for mpm in directive.mpms
]


def origin(configuration: Configuration, directive: Directive[Any]) -> str:
    return str(configuration.resolution.in_force[directive.name].origins[0])


def assert_in_force(configuration: Configuration, directive: Directive[Any], said_by: str) -> None:
    sample = SAMPLES[directive.name]
    assert sample.found(configuration.settings) == sample.becomes
    assert origin(configuration, directive) == said_by


def home(directive: Directive[Any]) -> Mpm:
    """The MPM under which a directive is tried: event if it has it."""
    return Mpm.EVENT if Mpm.EVENT in directive.mpms else directive.mpms[0]


def selected(directive: Directive[Any]) -> tuple[str, ...]:
    return () if home(directive) is Mpm.EVENT else ("--mpm", home(directive).value)


def test_every_directive_has_a_sample() -> None:
    assert set(SAMPLES) == set(by_name())


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_default(world: World, directive: Directive[Any]) -> None:
    configuration = world.configure(*selected(directive))
    if directive.name != "app":
        assert configuration.resolution.in_force[directive.name].origins[0].source is Source.DEFAULT
        assert configuration.resolution.in_force[directive.name].value == directive.default_for(home(directive))
    assert SAMPLES[directive.name].found(configuration.settings) != SAMPLES[directive.name].becomes
    assert directive.reason.endswith(".")
    assert directive.meaning.endswith(".")


@pytest.mark.parametrize(("directive", "flag"), SPELLINGS)
def test_command_line(world: World, directive: Directive[Any], flag: str) -> None:
    configuration = world.configure(*selected(directive), flag, SAMPLES[directive.name].text)
    assert_in_force(configuration, directive, f"option {flag}")


def test_command_line_argument(world: World) -> None:
    assert_in_force(world.configure(app="other:app"), by_name()["app"], "argument APP")


@pytest.mark.parametrize(("directive", "flag"), FIXED)
def test_command_line_without_a_value(world: World, directive: Directive[Any], flag: str) -> None:
    configuration = world.configure(flag)
    wanted = directive.kind.from_text(directive.fixed_flags[flag])
    assert configuration.resolution.in_force[directive.name].value == wanted
    assert origin(configuration, directive) == f"option {flag}"


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_environment(world: World, directive: Directive[Any]) -> None:
    world.variables[directive.variable()] = SAMPLES[directive.name].text
    configuration = world.configure(*selected(directive), app=None if directive.name == "app" else "a")
    assert_in_force(configuration, directive, variable(directive))


def variable(directive: Directive[Any]) -> str:
    return f"environment variable TRICORN_{directive.name.upper()}"


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_file(world: World, directive: Directive[Any]) -> None:
    head = f"[{home(directive).value}]\n" if directive.per_mpm else "\n"
    world.write(f"{head}{directive.name} = {SAMPLES[directive.name].toml}\n")
    configuration = world.configure(*selected(directive), app=None if directive.name == "app" else "a")
    assert_in_force(configuration, directive, "tricorn.toml line 2")


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_pyproject(world: World, directive: Directive[Any]) -> None:
    head = f"[tool.tricorn.{home(directive).value}]" if directive.per_mpm else "[tool.tricorn]"
    world.write(f"{head}\n{directive.name} = {SAMPLES[directive.name].toml}\n", "pyproject.toml")
    configuration = world.configure(*selected(directive), app=None if directive.name == "app" else "a")
    assert_in_force(configuration, directive, "pyproject.toml line 2")


@pytest.mark.parametrize(("directive", "mpm"), OF_EACH_MPM)
def test_each_mpm_has_its_own(world: World, directive: Directive[Any], mpm: Any) -> None:
    text = "1" if (directive.name, mpm.value) == ("threads_per_child", "prefork") else "32"
    if directive.name == "max_child_memory":
        text = "33554432"
    world.write(f"[{mpm.value}]\n{directive.name} = {text}\n")
    value = world.configure("--mpm", mpm.value).resolution.in_force[directive.name].value
    assert value == directive.kind.from_text(text)
    for other in EVERY_MPM:
        if other is not mpm and other in directive.mpms:
            stated = world.configure("--mpm", other.value).resolution.in_force[directive.name]
            assert stated.is_default, f"{other} took the value of {mpm}"
    world.write("")
    world.variables[directive.variable(mpm)] = text
    found = world.configure("--mpm", mpm.value)
    assert origin(found, directive) == f"environment variable TRICORN_{mpm.name}_{directive.name.upper()}"


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_text_and_toml_give_the_same_value(directive: Directive[Any]) -> None:
    kind, sample = directive.kind, SAMPLES[directive.name]
    value = kind.from_text(sample.text)
    assert kind.from_text(kind.to_text(value)) == value
    assert kind.from_toml(kind.to_toml(value)) == value


def test_every_section_has_directives() -> None:
    assert {directive.section for directive in table()} == set(Section)


def test_no_option_or_variable_is_claimed_twice() -> None:
    flags = [flag for directive in table() for flag in {directive.option, *directive.flags, *directive.fixed_flags}]
    variables = [directive.variable() for directive in table()]
    variables += [directive.variable(mpm) for directive in table() if directive.per_mpm for mpm in directive.mpms]
    assert len(flags) == len(set(flags))
    assert len(variables) == len(set(variables))


@pytest.mark.parametrize(("mpm", "threads", "connections"), [("prefork", 1, 1), ("worker", 16, 16), ("event", 8, 4096)])
def test_default_threads_and_connections(world: World, mpm: str, threads: int, connections: int) -> None:
    capacity = world.configure("--mpm", mpm).settings.capacity
    assert (capacity.threads_per_child, capacity.max_open_connections) == (threads, connections)


@pytest.mark.parametrize("directive", DIRECTIVES)
def test_what_needs_a_restart_is_what_the_parent_refuses_in_a_reload(world: World, directive: Directive[Any]) -> None:
    before = world.configure(*selected(directive), app="a:b").settings
    world.variables[directive.variable()] = SAMPLES[directive.name].text
    after = world.configure(*selected(directive), app=None if directive.name == "app" else "a:b").settings
    assert before != after or directive.name == "interface"
    if directive.change is Change.RESTART:
        with pytest.raises(ConfigError, match="cannot change in a reload"):
            check_reloadable(before, after)
    else:
        check_reloadable(before, after)
