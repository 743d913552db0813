from __future__ import annotations

import json

from tests.unit.control.fake_server import Band, Row, facts
from tricorn.control.messages import LONGEST_ANSWER, Done, Outcome, encode_answer
from tricorn.status.report import MOST_CHILDREN, ChildFacts, MemoryFacts, ProcessMemory, report


def test_the_data() -> None:
    data = report(facts(pid=4711))
    assert json.loads(json.dumps(data)) == data
    assert data["capacity"] == {
        "children": 2,
        "target": 2,
        "least": 1,
        "most": 16,
        "unit": 8,
        "units": 16,
        "taken": 3,
        "idle": 13,
        "min_spare": 8,
        "max_spare": 24,
        "max_request_workers": 128,
        "fixed": False,
    }
    assert [child["slot"] for child in data["children"]] == [0, 1, 2]
    assert data["children"][0]["stages"] == {"idle": 5, "handler": 2, "write": 1}
    assert data["totals"] == {"requests": 124_533, "accepted": 9_981, "exits": {"killed by SIGKILL": 2}}
    assert data["memory"]["saved"] == data["memory"]["rss"] - data["memory"]["pss"]
    assert data["holding"] == {"held_memory": 0, "spooled": 0}
    assert data["reload"] == {"state": "replacing", "generation": 3, "since": 2.5}


def test_draining_and_resting_children_are_no_capacity() -> None:
    children = [ChildFacts(n, 1, n, state, 1.0, 8, 8, None, None) for n, state in enumerate(["draining", "resting"])]
    capacity = report(facts(children=children))["capacity"]
    assert (capacity["children"], capacity["units"], capacity["taken"], capacity["idle"]) == (0, 0, 0, 0)


def test_the_limit_of_resize_is_the_one_that_is_told() -> None:
    capacity = report(facts(limit=3))["capacity"]
    assert (capacity["most"], capacity["max_request_workers"]) == (3, 24)
    capacity = report(facts(limit=1, band=Band(8, 3, 3, 3, 8, 24)))["capacity"]
    assert capacity["least"] == 1, "a fixed pool has as many as the limit says"


def test_what_a_child_says_of_itself_is_bounded() -> None:
    stages = tuple(f"stage{n}" for n in range(500))
    lies = Row(-5, 2**200, -1, 2**70, stages, -1.0, -1, 2**64, -9, 2**64, -(2**64))
    (child,) = report(facts(children=[ChildFacts(0, 1, 9, "ready", -3.0, 8, 99, lies, None)]))["children"]
    assert (child["taken"], child["connections"], child["accepted"], child["age"]) == (8, 0, 0, 0.0)
    assert child["requests"] == child["queued"] == child["dropped"] == 2**63
    assert (child["queue_time"], child["turned_away"], child["broken_off"]) == (0.0, 0, 0)
    assert (child["held_memory"], child["spooled"]) == (2**63, 0)
    assert len(child["stages"]) <= 16


def test_nothing_is_said_of_memory_that_was_not_measured() -> None:
    data = report(facts(memory=MemoryFacts(None, None, None, 5, None)))
    assert data["memory"]["saved"] is None


def test_the_largest_server_fits_into_an_answer() -> None:
    row = Row(10**5, 10**12, 10**12, 10**4, ("handler", "idle", "body", "head", "write"), 1e12 / 3, *(10**12,) * 5)
    memory = ProcessMemory(10**11, 10**11, 10**11)
    children = [ChildFacts(n, 99, 4_000_000, "draining", 10.0**7, 64, 64, row, memory) for n in range(MOST_CHILDREN)]
    data = report(facts(children=[*children, *children[:5]]))
    assert data["children_left_out"] == 5
    assert len(encode_answer(Done(Outcome(0, ""), data))) < LONGEST_ANSWER
