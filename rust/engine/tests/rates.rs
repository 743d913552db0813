//! What `request_read_timeout` promises, with a clock that the test moves: whoever keeps the rate is never cut off,
//! whoever does not is cut off by the bound, and what each cut looks like to the client.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail")]

mod harness;

use engine::connection::{BodyLength, Connection, Expired, Stage};
use engine::timeouts::{Allowance, Rate, Timeouts};
use harness::{feed, unlimited};
use proptest::collection::vec;
use proptest::prelude::*;
use std::time::{Duration, Instant};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n";

const fn seconds(count: u64) -> Duration {
    Duration::from_secs(count)
}

const fn millis(count: u64) -> Duration {
    Duration::from_millis(count)
}

/// The stages in which bytes move.
#[derive(Debug, Clone, Copy)]
enum Moving {
    Header,
    Body,
    Response,
}

impl Moving {
    const ALL: [Self; 3] = [Self::Header, Self::Body, Self::Response];

    /// A connection that enters this stage, under `rate`, at `now`.
    fn begin(self, rate: Rate, now: Instant) -> Connection {
        let own = Timeouts::default();
        match self {
            Self::Header => {
                let mut connection = unlimited(Timeouts { header: rate, ..own }, now);
                feed(&mut connection, b"GET / HTTP/1.1\r\nHost: a\r\nA: ", now);
                connection
            }
            Self::Body => {
                let mut connection = unlimited(Timeouts { body: rate, ..own }, now);
                feed(&mut connection, b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 999999999999\r\n\r\n", now);
                connection
            }
            Self::Response => {
                let mut connection = unlimited(Timeouts { response: rate, ..own }, now);
                feed(&mut connection, GET, now);
                connection.enter_handler(now);
                let mut out = Vec::new();
                connection.respond(b"200 OK", &mut out).unwrap().finish(BodyLength::Known(u64::MAX)).unwrap();
                connection.enter_write(now);
                connection
            }
        }
    }

    fn moved(self, connection: &mut Connection, bytes: usize, now: Instant) {
        match self {
            Self::Header | Self::Body => feed(connection, &vec![b'x'; bytes], now),
            Self::Response => connection.delivered(bytes, now),
        }
    }
}

/// A piece of what a client sends or takes: milliseconds since the piece before, bytes.
type Piece = (u64, usize);

/// When a client is cut off, by the words of the documentation: as soon as there is a stretch of time in which it has
/// moved no more than `MinRate` times (the length of the stretch less `initial`), or when the maximum is over.
fn by_the_words(rate: Rate, pieces: &[Piece]) -> Option<u128> {
    let (initial, per_second) = (rate.initial.as_millis(), u128::from(rate.min_rate.unwrap()));
    // Milliseconds times bytes a second, so that all numbers are whole.
    let mut moments = vec![(0_u128, 0_u128)];
    let (mut now, mut moved) = (0, 0);
    let end = rate.maximum.map(|maximum| maximum.max(rate.initial).as_millis());
    for &(pause, bytes) in pieces {
        let next = now + u128::from(pause);
        let cut = moments.iter().map(|(at, before)| (at + initial) * per_second + (moved - before) * 1000);
        let cut = cut.chain(end.map(|end| end * per_second)).min().unwrap();
        if cut <= next * per_second {
            return Some(cut);
        }
        now = next;
        moved += bytes as u128;
        moments.push((now, moved));
    }
    None
}

/// When the connection is cut off, in the same unit.
fn by_the_clock(moving: Moving, rate: Rate, pieces: &[Piece]) -> Option<u128> {
    let start = Instant::now();
    let mut connection = moving.begin(rate, start);
    let mut now = start;
    for &(pause, bytes) in pieces {
        now += millis(pause);
        let deadline = connection.deadline().unwrap();
        if connection.expire(now) != Expired::NotYet {
            assert!(deadline <= now);
            return Some(deadline.duration_since(start).as_nanos() * u128::from(rate.min_rate.unwrap()) / 1_000_000);
        }
        assert!(deadline > now);
        moving.moved(&mut connection, bytes, now);
        assert!(connection.deadline().unwrap() >= deadline, "bytes never bring the end nearer");
    }
    None
}

fn rates() -> impl Strategy<Value = Rate> {
    // Rates of which one byte is worth whole nanoseconds, so that nothing is rounded.
    let per_second = prop::sample::select(vec![1_u32, 10, 100, 500, 1000]);
    (1_u64..30, prop::option::of(1_u64..90), per_second).prop_map(|(initial, maximum, per_second)| Rate {
        initial: seconds(initial),
        maximum: maximum.map(seconds),
        min_rate: Some(per_second),
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 256, ..ProptestConfig::default() })]

    #[test]
    fn the_clock_agrees_with_the_words(rate in rates(), pieces in vec((0_u64..9000, 0_usize..4000), 0..40)) {
        let words = by_the_words(rate, &pieces);
        for moving in Moving::ALL {
            prop_assert_eq!(by_the_clock(moving, rate, &pieces), words, "{:?}", moving);
        }
    }

    #[test]
    fn whoever_keeps_the_rate_is_never_cut_off(
        rate in rates(),
        pieces in vec((0_u64..1000, 0_usize..100), 1..60),
    ) {
        let rate = Rate { maximum: None, ..rate };
        let per_second = u64::from(rate.min_rate.unwrap());
        let longest = u64::try_from(rate.initial.as_millis()).unwrap() - 1;
        let pieces: Vec<Piece> = pieces
            .into_iter()
            .map(|(thousandths, more)| {
                let pause = longest * thousandths / 999;
                (pause, usize::try_from((pause * per_second).div_ceil(1000)).unwrap() + more)
            })
            .collect();
        for moving in Moving::ALL {
            prop_assert_eq!(by_the_clock(moving, rate, &pieces), None, "{:?}", moving);
        }
    }

    #[test]
    fn whoever_does_not_is_cut_off_by_the_bound(
        rate in rates(),
        pauses in vec(1_u64..5000, 1..60),
        tenths in 0_u64..10,
    ) {
        // At `tenths` tenths of the rate, however the bytes are spread, the end comes by initial / (1 - tenths / 10).
        let rate = Rate { maximum: None, ..rate };
        let per_second = u64::from(rate.min_rate.unwrap());
        let bound = rate.initial * 10 / u32::try_from(10 - tenths).unwrap();
        let mut pieces: Vec<Piece> = Vec::new();
        let (mut passed, mut moved) = (0, 0);
        for pause in pauses.into_iter().cycle() {
            if u128::from(passed) > bound.as_millis() {
                break;
            }
            passed += pause;
            let total = passed * per_second * tenths / 10_000;
            pieces.push((pause, usize::try_from(total - moved).unwrap()));
            moved = total;
        }
        for moving in Moving::ALL {
            let cut = by_the_clock(moving, rate, &pieces).expect("is cut off") / u128::from(per_second);
            prop_assert!(cut <= bound.as_millis(), "{:?}: {} ms, bound {:?}", moving, cut, bound);
            prop_assert!(cut >= rate.initial.as_millis());
        }
    }

    #[test]
    fn waiting_again_goes_on_with_what_is_left(rate in rates(), turns in vec((0_u64..4000, 0_u64..9000, 0_usize..900), 0..20)) {
        // The same waits, with and without an application that takes its time in between.
        let start = Instant::now();
        let mut with = Moving::Response.begin(rate, start);
        let mut without = Moving::Response.begin(rate, start);
        let (mut now, mut then) = (start, start);
        for (wait, work, bytes) in turns {
            (now, then) = (now + millis(wait), then + millis(wait));
            let expired = with.expire(now);
            prop_assert_eq!(expired, without.expire(then));
            if expired != Expired::NotYet {
                break;
            }
            with.delivered(bytes, now);
            without.delivered(bytes, then);
            with.enter_handler(now);
            prop_assert_eq!((with.stage(), with.deadline()), (Stage::Handler, None));
            now += millis(work);
            with.enter_write(now);
            with.enter_write(now + millis(1));
            let left = |connection: &Connection, now| connection.deadline().unwrap().duration_since(now);
            prop_assert_eq!(left(&with, now), left(&without, then));
        }
    }

    #[test]
    fn nothing_overflows(
        initial in any::<u64>(),
        maximum in any::<Option<u64>>(),
        min_rate in any::<Option<u32>>(),
        moved in vec((any::<u32>(), any::<usize>()), 0..9),
    ) {
        let rate = Rate { initial: millis(initial), maximum: maximum.map(millis), min_rate };
        let mut now = Instant::now();
        let mut allowance = Allowance::begin(now);
        let mut before = allowance.deadline(&rate);
        for (pause, bytes) in moved {
            now += millis(u64::from(pause));
            allowance.credit(&rate, bytes, now);
            let deadline = allowance.deadline(&rate);
            prop_assert!(deadline >= before || deadline.is_none());
            before = deadline;
        }
    }
}

/// The outcome of a deadline: the status of a refusal, or a silent close.
fn outcome(connection: &mut Connection, now: Instant) -> Option<u16> {
    assert_eq!(connection.expire(now.checked_sub(millis(1)).unwrap()), Expired::NotYet);
    assert_eq!(connection.deadline(), Some(now));
    match connection.expire(now) {
        Expired::Reject(reject) => Some(reject.status),
        Expired::Close => None,
        Expired::NotYet => panic!("the deadline has come"),
    }
}

#[test]
fn silence_from_the_accept_on_ends_with_the_nearer_of_handshake_and_header() {
    for (handshake, header, end) in [(0, 20, 20), (5, 20, 5), (30, 20, 20), (5, 0, 5)] {
        let start = Instant::now();
        let [handshake, header] = [handshake, header].map(|time| Rate::fixed(seconds(time)));
        let timeouts = Timeouts { handshake, header, ..Timeouts::default() };
        let mut silent = unlimited(timeouts.clone(), start);
        assert_eq!(outcome(&mut silent, start + seconds(end)), None);
        let mut begun = unlimited(timeouts, start);
        feed(&mut begun, b"G", start + seconds(4));
        if header.initial.is_zero() {
            assert_eq!(begun.deadline(), None);
        } else {
            assert_eq!(outcome(&mut begun, start + header.initial), Some(408), "the head's clock starts at the accept");
        }
    }
}

#[test]
fn a_byte_of_a_head_now_and_then_renews_nothing() {
    let start = Instant::now();
    let mut slow = unlimited(Timeouts::default(), start);
    for (second, byte) in (1..20).zip(GET) {
        feed(&mut slow, &[*byte], start + seconds(second));
    }
    assert_eq!(outcome(&mut slow, start + seconds(20) + millis(19 * 2)), Some(408));
}

#[test]
fn a_head_that_keeps_the_rate_is_ended_by_the_maximum() {
    let start = Instant::now();
    let mut long = Moving::Header.begin(Timeouts::default().header, start);
    for second in 1..40 {
        feed(&mut long, &[b'x'; 600], start + seconds(second));
    }
    assert_eq!(outcome(&mut long, start + seconds(40)), Some(408));
}

#[test]
fn a_body_that_came_fast_may_not_rest_on_it() {
    let start = Instant::now();
    let mut resting = Moving::Body.begin(Timeouts::default().body, start);
    feed(&mut resting, &vec![b'x'; 1_000_000], start + seconds(1));
    assert_eq!(outcome(&mut resting, start + seconds(21)), Some(408));
}

#[test]
fn a_phone_just_above_the_rate_sends_for_an_hour() {
    let start = Instant::now();
    let mut phone = Moving::Body.begin(Timeouts::default().body, start);
    for second in (10..3600).step_by(10) {
        assert_eq!(phone.expire(start + seconds(second)), Expired::NotYet);
        feed(&mut phone, &[b'x'; 5010], start + seconds(second));
    }
}

#[test]
fn a_reader_that_takes_nothing_is_closed_however_often_the_answer_waits() {
    let start = Instant::now();
    let mut connection = Moving::Response.begin(Timeouts::default().response, start);
    let mut now = start;
    for _ in 0..59 {
        now += seconds(1);
        connection.enter_handler(now);
        now += seconds(100);
        connection.enter_write(now);
        assert_eq!(connection.expire(now), Expired::NotYet);
    }
    assert_eq!(outcome(&mut connection, now + seconds(1)), None);
    assert!(connection.answered() && !connection.persistent());
    assert!(connection.must_reset(), "the system is not to hold the rest for this client");
}

#[test]
fn the_next_answer_of_a_connection_has_a_time_of_its_own() {
    let start = Instant::now();
    let mut connection = unlimited(Timeouts::default(), start);
    let mut now = start;
    for _ in 0..3 {
        feed(&mut connection, GET, now);
        connection.enter_queue(now);
        connection.enter_handler(now);
        harness::respond(&mut connection, b"200 OK", &[], &[b"ok"], Some(2), &mut Vec::new());
        connection.enter_write(now);
        assert_eq!(connection.deadline(), Some(now + seconds(60)));
        now += seconds(59);
        connection.next_exchange(now);
        assert_eq!(connection.deadline(), Some(now + seconds(5)), "keep-alive");
    }
    assert_eq!(outcome(&mut connection, now + seconds(5)), None);
}
