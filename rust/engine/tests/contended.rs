//! While others need what a client holds, it may be behind the rate by less than usual; with a clock that the test moves.
//! What the rate itself allows is tested in `rates`, what the blocking driver makes of it in `contention`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::connection::{BodyLength, Connection, Expired, Next, Stage, Step};
use engine::timeouts::{Contended, Press, Rate, Timeouts};
use harness::{feed, unlimited};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";
const POST: &[u8] = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n";

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// Connections that have just entered each stage in which bytes move.
fn moving(timeouts: &Timeouts, now: Instant) -> [Connection; 3] {
    let [mut head, mut body, mut response] = [(); 3].map(|()| unlimited(timeouts.clone(), now));
    feed(&mut head, b"GET / HTTP/1.1\r\nHost: a\r\nA: ", now);
    feed(&mut body, POST, now);
    feed(&mut response, GET, now);
    response.enter_handler(now);
    response.respond(b"200 OK", &mut Vec::new()).unwrap().finish(BodyLength::Known(u64::MAX)).unwrap();
    response.enter_write(now);
    [head, body, response]
}

fn moved(connection: &mut Connection, bytes: usize, now: Instant) {
    if connection.stage() == Stage::Write {
        connection.delivered(bytes, now);
    } else {
        feed(connection, &vec![b'x'; bytes], now);
    }
}

fn timeouts(rate: Rate, behind: Duration) -> Timeouts {
    let contended = Contended { header: behind, body: behind, response: behind, ..Contended::default() };
    Timeouts { header: rate, body: rate, response: rate, contended, ..Timeouts::default() }
}

fn rates() -> impl Strategy<Value = Rate> {
    (1_u64..60_000, prop::option::of(1_u64..90_000), 1_u32..5000).prop_map(|(initial, maximum, per_second)| Rate {
        initial: millis(initial),
        maximum: maximum.map(|more| millis(initial + more)),
        min_rate: Some(per_second),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn it_is_the_same_rate_with_a_shorter_beginning(
        rate in rates(),
        behind in 1_u64..20_000,
        pieces in vec((0_u64..3000, 0_usize..4000), 0..40),
    ) {
        let start = Instant::now();
        let short = Rate { initial: rate.initial.min(millis(behind)), ..rate };
        let contended = moving(&timeouts(rate, millis(behind)), start);
        let usual = moving(&timeouts(short, Duration::ZERO), start);
        for (mut contended, mut usual) in contended.into_iter().zip(usual) {
            let mut now = start;
            for &(pause, bytes) in &pieces {
                now += millis(pause);
                prop_assert_eq!(contended.contended_deadline(Press::LIGHTEST), usual.deadline());
                prop_assert!(contended.contended_deadline(Press::LIGHTEST) <= contended.deadline());
                let way = contended.make_way(Press::LIGHTEST, now);
                prop_assert_eq!(way, usual.expire(now));
                if way != Expired::NotYet {
                    break;
                }
                moved(&mut contended, bytes, now);
                moved(&mut usual, bytes, now);
            }
        }
    }

    #[test]
    fn whoever_keeps_the_rate_makes_way_for_nobody(
        rate in rates(),
        behind in 2_u64..20_000,
        pieces in vec((0_u64..1000, 0_usize..100), 1..60),
    ) {
        let start = Instant::now();
        let rate = Rate { maximum: None, ..rate };
        let longest = millis(behind).min(rate.initial).as_millis() - 1;
        let longest = u64::try_from(longest).unwrap();
        for mut honest in moving(&timeouts(rate, millis(behind)), start) {
            let mut now = start;
            for &(thousandths, more) in &pieces {
                let pause = longest * thousandths / 999;
                now += millis(pause);
                prop_assert_eq!(honest.make_way(Press::LIGHTEST, now), Expired::NotYet);
                let paid = (pause * u64::from(rate.min_rate.unwrap())).div_ceil(1000);
                moved(&mut honest, usize::try_from(paid).unwrap() + more, now);
            }
        }
    }

    #[test]
    fn whoever_does_not_makes_way_by_the_bound(
        rate in rates(),
        behind in 1_u64..20_000,
        pauses in vec(1_u64..5000, 1..60),
        tenths in 0_u64..10,
    ) {
        // At `tenths` tenths of the rate, however the bytes are spread.
        let start = Instant::now();
        let rate = Rate { maximum: None, ..rate };
        let bound = rate.initial.min(millis(behind)) * 10 / u32::try_from(10 - tenths).unwrap();
        for mut slow in moving(&timeouts(rate, millis(behind)), start) {
            let (mut passed, mut paid) = (0, 0);
            for pause in pauses.iter().cycle() {
                if slow.make_way(Press::LIGHTEST, start + millis(passed)) != Expired::NotYet {
                    break;
                }
                prop_assert!(millis(passed) < bound + millis(1), "{} ms, bound {:?}", passed, bound);
                passed = (passed + pause).min(u64::try_from(bound.as_millis()).unwrap() + 1);
                let total = passed * u64::from(rate.min_rate.unwrap()) * tenths / 10_000;
                if slow.make_way(Press::LIGHTEST, start + millis(passed)) == Expired::NotYet {
                    moved(&mut slow, usize::try_from(total - paid).unwrap(), start + millis(passed));
                }
                paid = total;
            }
        }
    }

    #[test]
    fn time_in_the_queue_is_used_time_and_bytes_that_came_in_it_count(
        rate in rates(),
        waited in 0_u64..60_000,
        bytes in 0_usize..100_000,
    ) {
        // As if it had been accepted when it was established, and all bytes had come in this moment.
        let now = Instant::now() + millis(120_000);
        let began = now.checked_sub(millis(waited)).unwrap();
        let timeouts = timeouts(rate, millis(500));
        let mut late = unlimited(timeouts.clone(), now);
        let mut early = unlimited(timeouts, began);
        for one in [&mut late, &mut early] {
            feed(one, &vec![b'x'; bytes], now);
        }
        late.has_waited(millis(waited), now);
        prop_assert_eq!(late.deadline(), early.deadline());
        prop_assert_eq!(late.contended_deadline(Press::LIGHTEST), early.contended_deadline(Press::LIGHTEST));
    }
}

fn status(expired: Expired) -> Option<u16> {
    match expired {
        Expired::Reject(reject) => Some(reject.status),
        Expired::Close => None,
        Expired::NotYet => panic!("the deadline has come"),
    }
}

#[test]
fn each_stage_has_its_own_bound_and_its_usual_end() {
    let start = Instant::now();
    let [head, body, response] = moving(&Timeouts::default(), start);
    let silent = unlimited(Timeouts::default(), start);
    for (mut slow, bound, end) in
        [(silent, 500, None), (head, 500, Some(408)), (body, 2000, Some(408)), (response, 5000, None)]
    {
        assert_eq!(slow.contended_deadline(Press::LIGHTEST), Some(start + millis(bound)));
        assert_eq!(slow.make_way(Press::LIGHTEST, start + millis(bound - 1)), Expired::NotYet);
        assert_eq!(slow.expire(start + millis(bound)), Expired::NotYet, "nobody needs what it holds");
        assert_eq!(status(slow.make_way(Press::LIGHTEST, start + millis(bound))), end);
        assert_eq!(slow.must_reset(), bound == 5000);
    }
}

#[test]
fn zero_and_stages_without_a_rate_have_their_usual_time() {
    let start = Instant::now();
    let usual = Rate::at_least(500, millis(20_000));
    for timeouts in [timeouts(usual, Duration::ZERO), timeouts(Rate::fixed(millis(20_000)), millis(1))] {
        for mut slow in moving(&timeouts, start) {
            assert_eq!(slow.contended_deadline(Press::LIGHTEST), None);
            assert_eq!(slow.make_way(Press::LIGHTEST, start + millis(19_999)), Expired::NotYet);
            assert_eq!(slow.deadline(), Some(start + millis(20_000)));
        }
    }
}

#[test]
fn an_answer_that_is_sent_is_not_waited_for_and_a_silent_kept_connection_hardly() {
    let start = Instant::now();
    let mut kept = unlimited(Timeouts::default(), start);
    feed(&mut kept, GET, start);
    kept.enter_handler(start);
    harness::respond(&mut kept, b"200 OK", &[], &[b"ok"], Some(2), &mut Vec::new());
    assert_eq!(kept.next_exchange(start), Next::KeepAlive);
    assert_eq!(kept.contended_deadline(Press::LIGHTEST), Some(start + millis(100)));
    assert_eq!(kept.make_way(Press::LIGHTEST, start + millis(100)), Expired::Close);
    let mut refused = unlimited(Timeouts::default(), start);
    refused.receive(b"no request\r\n\r\n", start);
    let Step::Reject(reject) = refused.step(&mut Vec::new(), start) else { panic!("is refused") };
    refused.reject(&reject, &mut Vec::new());
    assert_eq!(refused.next_exchange(start), Next::Linger);
    assert_eq!(refused.make_way(Press::LIGHTEST, start), Expired::Close);
}

#[test]
fn a_retired_connection_keeps_its_moment() {
    let start = Instant::now();
    let mut idle = unlimited(Timeouts::default(), start);
    idle.retire(start + millis(400));
    idle.has_waited(millis(10_000), start + millis(400));
    assert_eq!(idle.deadline(), Some(start + millis(1400)));
}

#[test]
fn the_more_wait_the_less_a_reader_may_be_behind() {
    let start = Instant::now();
    let [head, body, response] = moving(&Timeouts::default(), start);
    for (units, waiting, behind) in
        [(16, 1, 5000), (16, 4, 4000), (16, 16, 1000), (16, 320, 50), (1, 0, 1000), (1, 500, 20), (0, 7, 20)]
    {
        let press = Press { units, readers: units.max(1), waiting };
        assert_eq!(response.contended_deadline(press), Some(start + millis(behind)), "{press:?}");
        assert_eq!(head.contended_deadline(press), Some(start + millis(500)), "who sends is not hurried");
        assert_eq!(body.contended_deadline(press), Some(start + millis(2000)));
    }
    assert_eq!(response.contended_deadline(Press::HARDEST), Some(start + millis(20)));
}

#[test]
fn readers_that_hold_no_more_than_half_of_the_units_are_not_hurried() {
    let start = Instant::now();
    let [.., response] = moving(&Timeouts::default(), start);
    for (units, readers, behind) in [(16, 1, 5000), (16, 8, 5000), (16, 9, 50), (2, 1, 5000), (1, 1, 20)] {
        let press = Press { units, readers, waiting: 320 };
        assert_eq!(response.contended_deadline(press), Some(start + millis(behind)), "{press:?}");
    }
}
