from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.control.fake_server import MIB, Band, Row, facts
from tricorn.status import text
from tricorn.status.report import ChildFacts, MemoryFacts, ProcessMemory, report
from tricorn.status.text import count, decisions_text, duration, plain, size, status_text

PAGE = """\
tricorn 0.1.0, pid 4711: serving for 1d1h, generation 3, event MPM
serves    shop.wsgi on http://127.0.0.1:8000
capacity  2 children of 8 threads (1 to 16 allowed); 3 of 16 threads taken;
          13 idle (band 8 to 24); at most 128
memory    312 MiB used, of 1.6 GiB allowed; PSS 312 MiB, RSS 890 MiB;
          sharing saves 578 MiB; one more child takes 14.0 MiB
reload    to generation 3, for 2s: old children are being replaced
so far    124,533 requests; 9,981 connections;
          children that ended: killed by SIGKILL (2)

slot gen  pid state    taken conn requests  age   PSS   USS threads
   0   3 4714 ready      3/8   12   123456  59s 31.0M 12.0M 2 handler, 1 write
   1   2 4713 draining   1/8    1       77 1h1m 31.0M 12.0M 1 handler
   2   3    - starting   0/8    0        0   0s     -     -"""


def test_the_page() -> None:
    assert status_text(report(facts(pid=4711))) == PAGE


def test_the_page_fits_into_80_columns_with_large_numbers() -> None:
    memory = ProcessMemory(123_456 * MIB, 99_999 * MIB, 1 << 50)
    row = Row(10_000, 10**15, 10**15, 4096, ("handler",) * 60 + ("keep_alive",) * 64 + ("body",) * 3)
    children = [ChildFacts(1023, 123, 4_194_304, "resting", 8_640_000.0, 128, 127, row, memory)] * 3
    page = status_text(report(facts(children=children, band=Band(128, 2, 1, 1024, 128, 512), reload=None)))
    assert max(map(len, page.splitlines())) <= 80
    assert "reload" not in page


def test_what_is_held_for_slow_clients_is_told_if_anything_is() -> None:
    row = Row(broken_off=7, held_memory=3 * MIB, spooled=250 * MIB)
    page = status_text(report(facts(children=[ChildFacts(0, 1, 4711, "ready", 9.0, 8, 3, row, None)])))
    assert "clients   bodies and answers held: 3.0 MiB in memory; 250 MiB in temporary files\n" in page
    threads = " ".join(word for line in page.splitlines()[-3:] for word in line.split())
    assert "2 handler, 1 write, 7 broken off, 253M held" in threads, page


def test_a_fixed_pool_of_processes_without_memory_figures() -> None:
    facts_ = facts(
        mpm="prefork", band=Band(1, 4, 4, 4, 0, 4), target=4, memory=MemoryFacts(None, None, None, None, None)
    )
    page = status_text(report(facts_))
    assert "capacity  2 children (fixed); 3 of 16 processes taken; 13 idle; at most 4" in page
    assert "memory" not in page


def test_memory_before_it_was_measured() -> None:
    page = status_text(report(facts(memory=MemoryFacts(1600 * MIB, None, None, None, None))))
    assert "memory    not measured yet, of 1.6 GiB allowed\n" in page


def test_what_is_missing_is_left_out() -> None:
    assert status_text({}) == "tricorn ?, pid ?: ? for ?, generation ?, ? MPM\nserves    ? on nowhere"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda children: st.lists(children) | st.dictionaries(st.text(), children),
    max_leaves=5,
)
KEYS = st.fixed_dictionaries({}, optional=dict.fromkeys(report(facts()), JSON))
ODD = st.fixed_dictionaries(
    {},
    optional={
        "capacity": st.dictionaries(st.sampled_from(sorted(report(facts())["capacity"])), JSON),
        "children": st.lists(st.dictionaries(st.sampled_from(sorted(report(facts())["children"][0])), JSON)),
        "memory": st.dictionaries(st.sampled_from(sorted(report(facts())["memory"])), JSON),
        "totals": st.dictionaries(st.sampled_from(["requests", "exits"]), JSON),
    },
)


@given(KEYS | ODD)
def test_odd_data_make_a_page_without_control_characters(data: dict[str, object]) -> None:
    assert all(line.isprintable() for line in status_text(data).split("\n"))


@given(st.lists(JSON | st.dictionaries(st.sampled_from(["at", "what", "reason"]), JSON)))
def test_odd_decisions_make_lines_without_control_characters(decisions: list[object]) -> None:
    assert all(line.isprintable() for line in decisions_text(decisions).split("\n"))


def test_decisions() -> None:
    decisions = [
        {"at": "2026-11-23T01:20:00Z", "what": "starts child 2", "reason": "3 of 8 threads are idle"},
        {"at": "2026-11-23T01:20:01Z", "what": "starts nothing", "reason": ""},
    ]
    assert decisions_text(decisions) == (
        "2026-11-23T01:20:00Z  starts child 2: 3 of 8 threads are idle\n2026-11-23T01:20:01Z  starts nothing"
    )
    assert decisions_text([decisions[0] | {"reason": "x " * 30}]).splitlines()[1].startswith("    x")
    assert decisions_text([]) == "Nothing was decided yet."


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0s"), (59.9, "59s"), (60, "1m"), (200, "3m20s"), (3599, "59m59s"), (3600, "1h"), (7500, "2h5m"),
        (86_400, "1d"), (90_061, "1d1h"), (8_640_000, "100d"), (math.inf, "?"), (math.nan, "?"), (-1, "?"),
        (10**400, "?"), ("1", "?"), (None, "?"), (True, "?"),
    ],
)  # fmt: skip
def test_durations(seconds: object, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(
    ("value", "long", "short"),
    [
        (0, "0 bytes", "0"), (999, "999 bytes", "999"), (1000, "1.0 KiB", "1.0K"), (31 * MIB, "31.0 MiB", "31.0M"),
        (312 * MIB, "312 MiB", "312M"), (1600 * MIB, "1.6 GiB", "1.6G"), (1 << 60, "1048576 TiB", "1048576T"),
        (None, "?", "-"), ("x", "?", "-"), (math.nan, "?", "-"), (10**400, "?", "-"),
    ],
)  # fmt: skip
def test_sizes(value: object, long: str, short: str) -> None:
    assert (size(value), size(value, short=True)) == (long, short)


def test_counts_are_short() -> None:
    assert [count(number) for number in (7, 999_999, 1_250_000, 10**10, 10**13, "x", 10**400)] == [
        "7", "999999", "1.2M", "10.0G", "10.0T", "0", "0",
    ]  # fmt: skip


def test_no_text_of_a_server_gives_orders_to_the_terminal() -> None:
    assert plain("a\x1b[2J\r\nb\x9b") == "a?[2J??b?"
    assert len(plain("x" * 10_000)) == 400
    assert text.WIDTH == 80
