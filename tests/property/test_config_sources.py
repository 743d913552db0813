"""For any values: they survive being written to a file, and the strongest source wins."""

from __future__ import annotations

import tempfile
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from tests.unit.config.world import World
from tricorn.config import show
from tricorn.config.addresses import AddressKind
from tricorn.config.compound_kinds import Many, OrWord, Pair, Variables
from tricorn.config.contended_timeouts import CONTENDED_STAGES, ContendedTimeouts
from tricorn.config.directives import by_name, table
from tricorn.config.directives.shape import EVERY_MPM, Directive
from tricorn.config.kinds import Account, Boolean, Choice, Integer, Kind, Octal, Seconds, Size, Text
from tricorn.config.networks import NetworkKind
from tricorn.config.read_timeouts import STAGES, ReadTimeouts
from tricorn.config.settings import InheritedAddress, Mpm, Rate, TcpAddress, UnixAddress
from tricorn.config.shares import Share, SizeOrShare

MILLISECONDS = st.integers(1, 80_000_000).map(lambda number: round(number / 1000, 3))
WORDS = st.text(st.characters(blacklist_categories=["Cs", "Cc"], blacklist_characters=",\n"), min_size=1, max_size=20)
PATHS = WORDS.filter(lambda text: text == text.strip() and text.lower() not in {"none", "off", "auto", "-"})
RATES = st.one_of(
    st.just(Rate(0.0, None, None)),
    MILLISECONDS.map(lambda seconds: Rate(seconds, None, None)),
    st.builds(
        lambda first, more, rate: Rate(first, round(first + more, 3), rate),
        st.integers(1, 4000).map(float),
        MILLISECONDS.map(lambda number: number % 1000 + 0.001),
        st.integers(1, 10**9),
    ),
)
ADDRESSES = st.one_of(
    st.builds(TcpAddress, st.sampled_from(["", "127.0.0.1", "::1", "a-b.example"]), st.integers(0, 65535)),
    st.builds(UnixAddress, st.from_regex(r"/[a-z/.:]{1,30}", fullmatch=True).filter(lambda path: path[:2] != "//")),
    st.builds(InheritedAddress, st.integers(0, 9999)),
)

IPV4 = st.integers(0, 2**32 - 1).map(lambda number: number.to_bytes(4, "big"))
IPV6 = st.integers(2**64, 2**128 - 1).map(lambda number: number.to_bytes(16, "big"))

BAND = (
    "start_servers",
    "min_spare_servers",
    "max_spare_servers",
    "min_spare_threads",
    "max_spare_threads",
    "max_request_workers",
)


def values(kind: Kind[Any]) -> st.SearchStrategy[Any]:
    """Values that a kind may have."""
    match kind:
        case OrWord():
            return st.one_of(st.just(kind.meaning), values(kind.kind))
        case Variables():
            names = st.from_regex(r"[A-Z_]{1,8}", fullmatch=True)
            return st.dictionaries(names, WORDS, max_size=3).map(lambda found: tuple(found.items()))
        case Many():
            return st.lists(values(kind.kind), min_size=kind.least, max_size=3, unique=True).map(tuple)
        case AddressKind():
            return ADDRESSES
        case NetworkKind():
            return st.one_of(
                st.builds(lambda number, length: ip_network((number, length), strict=False), IPV4, st.integers(0, 32)),
                st.builds(lambda number, length: ip_network((number, length), strict=False), IPV6, st.integers(0, 128)),
            )
        case ReadTimeouts():
            rates = {stage: RATES for stage in STAGES if stage != "keep_alive"}
            silences = {"keep_alive": st.integers(1, 1000).map(lambda seconds: Rate(float(seconds), None, None))}
            return st.fixed_dictionaries({}, optional=rates | silences).filter(bool)
        case ContendedTimeouts():
            return st.dictionaries(st.sampled_from(CONTENDED_STAGES), MILLISECONDS, min_size=1)
        case Integer() | Size():
            return st.integers(kind.least, kind.most)
        case SizeOrShare():
            return st.one_of(values(kind.size), st.integers(1, 100).map(Share))
        case Seconds():
            return st.integers(int(kind.least * 1000), int(kind.most * 1000)).map(lambda number: number / 1000)
        case Octal():
            return st.integers(0, 0o777)
        case Account():
            return st.sampled_from(["root", 0, 12, 4_294_967_294])
        case Choice():
            return st.sampled_from(tuple(kind.members.__members__.values()))
        case Boolean():
            return st.booleans()
        case Text():
            return PATHS if kind.pattern == r"[^\x00]+" else st.from_regex(kind.pattern, fullmatch=True)
        case _:
            raise AssertionError(f"no values for {kind}")


@st.composite
def stated(draw: st.DrawFn) -> dict[str, Any]:
    """Values for some directives, each by itself allowed."""
    chosen = draw(st.sets(st.sampled_from(table()).map(lambda directive: directive.name)))
    return {name: draw(values(by_name()[name].kind)) for name in sorted(chosen)}


@given(st.sampled_from(table()).flatmap(lambda entry: st.tuples(st.just(entry), values(entry.kind))))
def test_a_value_survives_text_and_toml(case: tuple[Directive[Any], Any]) -> None:
    kind, value = case[0].kind, case[1]
    assert kind.from_toml(kind.to_toml(value)) == value
    if value != ():  # no text says "none of them"
        assert kind.from_text(kind.to_text(value)) == value


@given(stated(), st.sampled_from(EVERY_MPM))
def test_settings_survive_a_file(found: dict[str, Any], mpm: Mpm) -> None:
    with tempfile.TemporaryDirectory() as place:
        first = World(Path(place))
        sensible = {**found, "mpm": mpm, "app": found.get("app") or "a:b", "spool_directory": None}
        sensible.pop("interface", None)  # asgi is refused
        sensible.pop("access_log_format", None)  # the engine has its own tests
        if "keep_alive" in sensible.get("request_read_timeout", {}):
            sensible.pop("keep_alive_timeout", None)  # the same by another name; two values are refused
        sensible["limit_request_head"] = 16 << 20
        sensible["response_limit"] = 1 << 40
        if isinstance(sensible.get("user"), int):  # a number need not have an account that tells its group
            sensible["group"] = 3
        if mpm is Mpm.EVENT:
            sensible["max_open_connections"] = 1_000_000
            sensible.pop("contended_timeout", None)
        else:
            for name in ("max_open_connections", "max_queued_requests", "max_queue_time"):
                sensible.pop(name, None)
        if mpm is Mpm.PREFORK:
            for name in ("threads_per_child", "timeout_grace"):
                sensible.pop(name, None)
        for name in BAND:  # test_config_capacity draws those that agree
            sensible.pop(name, None)
        if "max_child_memory" in sensible:
            sensible["max_child_memory"] = max(sensible["max_child_memory"], 1 << 20)
        first.variables = {
            by_name()[name].variable(): by_name()[name].kind.to_text(value)
            for name, value in sensible.items()
            if value != ()
        }
        before = first.configure(app=None)
        second = World(Path(place))
        second.write(show.as_toml(before))
        assert second.configure(app=None).settings == before.settings


SOURCES = ("--workers", "TRICORN_WORKERS", "WEB_CONCURRENCY", "tricorn.toml")


@given(st.dictionaries(st.sampled_from(SOURCES), st.integers(1, 2048)), st.sampled_from(EVERY_MPM), st.booleans())
def test_the_strongest_source_wins(said: dict[str, int], mpm: Mpm, by_name_of_mpm: bool) -> None:
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place))
        world.machine = replace(world.machine, cpus=3)
        words = ["--mpm", mpm.value]
        for source, value in said.items():
            if source.startswith("--"):
                words += [source, str(value)]
            elif source == "tricorn.toml":
                world.write(f"[{mpm.value}]\nworkers = {value}\n")
            elif source.startswith("TRICORN_") and by_name_of_mpm:
                world.variables[f"TRICORN_{mpm.name}_WORKERS"] = str(value)
            else:
                world.variables[source] = str(value)
        configuration = world.configure(*words)
        strongest = next((said[source] for source in SOURCES if source in said), 7 if mpm is Mpm.PREFORK else 3)
        assert configuration.settings.capacity.start == strongest
        assert configuration.resolution.in_force["workers"].is_default == (not said)


STAGED = st.dictionaries(st.sampled_from(STAGES), st.integers(1, 99), min_size=1)


@given(st.lists(STAGED, min_size=3, max_size=3))
def test_sources_add_up_stage_by_stage(said: list[dict[str, int]]) -> None:
    command_line, environment, file = said
    texts = [" ".join(f"{stage}={seconds}" for stage, seconds in stages.items()) for stages in said]
    with tempfile.TemporaryDirectory() as place:
        world = World(Path(place), {"TRICORN_REQUEST_READ_TIMEOUT": texts[1]})
        world.write(f'request_read_timeout = "{texts[2]}"')
        timeouts = world.configure("--request-read-timeout", texts[0]).settings.timeouts
    defaults = {
        "handshake": Rate(0.0, None, None),
        "header": Rate(20.0, 40.0, 500),
        "body": Rate(20.0, None, 500),
        "response": Rate(60.0, None, 500),
        "keep_alive": 75.0,
    }
    wanted = {**file, **environment, **command_line}
    for stage in STAGES:
        stated = Rate(float(wanted.get(stage, 0)), None, None)
        rate = defaults[stage] if stage not in wanted else stated.initial if stage == "keep_alive" else stated
        assert getattr(timeouts, stage) == rate


def test_pairs_have_values_of_their_own() -> None:
    assert Pair().from_text(Pair().to_text(("A", "b=c"))) == ("A", "b=c")
