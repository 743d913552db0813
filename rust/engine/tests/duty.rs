//! What a child does about clients when it is told to part, to rest, to serve again, to sweep, to leave: both drivers,
//! over real sockets.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::{Arc, Barrier};
use std::thread;
use std::time::{Duration, Instant};

use engine::scoreboard::{Capacity, OwnRow};
use engine::timeouts::{Rate, Timeouts};
use serving::{Kind, Server, Shape, both, get, read_answer, rings, wait_until};

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// Deadlines so far away that a test which waits for one fails. Clients that do not close are not waited for.
fn patient() -> Timeouts {
    let long = Duration::from_secs(600);
    let linger_silence = Duration::from_millis(50);
    Timeouts { header: Rate::fixed(long), keep_alive: long, linger_silence, ..Timeouts::default() }
}

fn says_close(answer: &str) -> bool {
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
    answer.contains("Connection: close")
}

fn is_at_its_end(stream: &mut TcpStream) {
    assert_eq!(stream.read(&mut [0; 1]).unwrap(), 0);
}

#[test]
fn a_parting_child_accepts_and_ends_every_connection_with_its_answer() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 6, timeouts: patient(), ..Shape::default() });
        let mut idle = server.connect();
        get(&mut idle, "/");
        let mut reused = server.connect();
        get(&mut reused, "/");
        let mut silent = server.connect();
        let mut under_way = server.connect();
        under_way.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the request under way", || server.facts().busy == 1 && server.facts().connections == 4);
        server.driver.part();
        server.driver.part();
        assert!(says_close(&get(&mut reused, "/")));
        is_at_its_end(&mut reused);
        assert_eq!(server.facts().state.word(), "ready", "it accepts");
        is_at_its_end(&mut idle);
        server.paths.gate.wait();
        assert!(says_close(&read_answer(&mut under_way)));
        for _ in 0..3 {
            let mut new = server.connect();
            assert!(says_close(&get(&mut new, "/")));
            is_at_its_end(&mut new);
        }
        // It had connected before, and its time for a first request is not over.
        assert!(says_close(&get(&mut silent, "/")));
        server.stop();
    });
}

#[test]
fn a_resting_child_leaves_clients_in_the_queue_until_it_serves_again() {
    both(|kind| {
        for threads in [1, 3] {
            let server = Server::start(kind, Shape { threads, timeouts: patient(), ..Shape::default() });
            let mut kept = server.connect();
            get(&mut kept, "/");
            server.driver.rest();
            is_at_its_end(&mut kept);
            wait_until("the last connection's end", || server.facts().connections == 0);
            assert_eq!(server.facts().state.word(), "resting");
            for round in 0..3 {
                let mut waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
                for stream in &mut waiting {
                    stream.write_all(GET).unwrap();
                }
                wait_until("a client in the queue", || server.somebody_waits());
                assert_eq!(server.facts().accepted, 1 + 5 * round);
                assert!(server.driver.resume());
                assert_eq!(server.facts().state.word(), "ready");
                for mut stream in waiting {
                    assert!(!says_close(&read_answer(&mut stream)));
                }
                wait_until("their end", || server.facts().connections == 0);
                server.driver.rest();
                // All threads have heard it: what comes now is not accepted.
                thread::sleep(Duration::from_millis(20));
            }
            server.driver.retire(false);
            assert!(!server.driver.resume());
            assert_eq!(server.facts().state.word(), "draining");
            server.join();
        }
    });
}

#[test]
fn a_resting_child_answers_what_is_under_way_and_what_it_closes_has_been_told() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 2, timeouts: patient(), ..Shape::default() });
        let mut under_way = server.connect();
        under_way.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the request under way", || server.facts().busy == 1);
        server.driver.rest();
        server.paths.gate.wait();
        assert!(says_close(&read_answer(&mut under_way)));
        is_at_its_end(&mut under_way);
        drop(under_way);
        // Recalled while a connection is told: it stays told, others are kept.
        assert!(server.driver.resume());
        let mut told = server.connect();
        get(&mut told, "/");
        server.driver.rest();
        thread::sleep(Duration::from_millis(20));
        assert!(server.driver.resume());
        let mut new = server.connect();
        assert!(!says_close(&get(&mut new, "/")));
        assert!(says_close(&get(&mut told, "/")));
        drop(new);
        server.stop();
    });
}

#[test]
fn a_sweep_answers_all_that_wait_and_nobody_who_comes_later() {
    both(|kind| {
        for threads in [1, 3] {
            let server = Server::start(kind, Shape { threads, timeouts: patient(), ..Shape::default() });
            server.driver.rest();
            thread::sleep(Duration::from_millis(20));
            let mut waiting: Vec<TcpStream> = (0..50).map(|_| server.connect()).collect();
            for stream in &mut waiting {
                stream.write_all(GET).unwrap();
            }
            server.driver.retire(true);
            assert_eq!(server.facts().state.word(), "draining");
            for mut stream in waiting {
                assert!(says_close(&read_answer(&mut stream)));
                is_at_its_end(&mut stream);
            }
            wait_until("the last connection's end", || server.facts().connections == 0);
            let mut late = server.connect();
            late.write_all(GET).unwrap();
            let board = Arc::clone(&server.board);
            server.join();
            assert_eq!(board.facts()[0].accepted, 50);
        }
    });
}

#[test]
fn a_busy_child_sweeps_when_a_thread_is_free() {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
    let mut under_way = server.connect();
    under_way.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the request under way", || server.facts().busy == 1);
    let mut waiting = server.connect();
    waiting.write_all(GET).unwrap();
    server.driver.retire(true);
    server.paths.gate.wait();
    assert!(says_close(&read_answer(&mut under_way)));
    drop(under_way);
    assert!(says_close(&read_answer(&mut waiting)));
    drop(waiting);
    server.join();
}

#[test]
fn a_sweep_keeps_to_the_bound_of_open_connections() {
    let shape = Shape { threads: 1, timeouts: patient(), open_connections: 2, ..Shape::default() };
    let server = Server::start(Kind::Reactor, shape);
    server.driver.rest();
    thread::sleep(Duration::from_millis(20));
    let mut waiting: Vec<TcpStream> = (0..10).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET /sleep/5 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    server.driver.retire(true);
    for mut stream in waiting {
        assert!(server.facts().connections <= 2);
        assert!(says_close(&read_answer(&mut stream)));
    }
    server.join();
}

#[test]
fn without_sweep_a_second_word_ends_the_sweep() {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
    let mut under_way = server.connect();
    under_way.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the request under way", || server.facts().busy == 1);
    let mut waiting = server.connect();
    waiting.write_all(GET).unwrap();
    server.driver.retire(true);
    server.driver.retire(false);
    server.paths.gate.wait();
    assert!(says_close(&read_answer(&mut under_way)));
    drop(under_way);
    let board = Arc::clone(&server.board);
    server.join();
    assert_eq!(board.facts()[0].accepted, 1);
}

#[test]
fn a_sweep_ends_with_listeners_that_do_not_listen_any_more() {
    both(|kind| {
        let server = Server::start(kind, Shape { timeouts: patient(), ..Shape::default() });
        server.shut_listener();
        server.driver.retire(true);
        server.join();
    });
}

#[test]
fn clients_that_are_silent_after_a_sweep_do_not_hold_the_child() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 3, timeouts: patient(), ..Shape::default() });
        server.driver.rest();
        thread::sleep(Duration::from_millis(20));
        let mut silent = server.connect();
        let mut slow = server.connect();
        slow.write_all(&GET[..10]).unwrap();
        let began = Instant::now();
        server.driver.retire(true);
        is_at_its_end(&mut silent);
        assert!(began.elapsed() < Duration::from_secs(5));
        // A request that has begun to come has the time that it always has.
        slow.write_all(&GET[10..]).unwrap();
        assert!(says_close(&read_answer(&mut slow)));
        drop(slow);
        server.join();
    });
}

#[test]
fn too_little_spare_is_told_once_by_the_child_that_takes_the_last() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 3, ..Shape::default() });
        server.board.watch_spare(2);
        let mut clients: Vec<TcpStream> = Vec::new();
        for (taken, expected) in [(1, 0), (2, 1), (3, 0)] {
            let mut client = server.connect();
            client.write_all(b"GET /sleep/1000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
            clients.push(client);
            wait_until("a unit more taken", || server.facts().taken == taken && server.facts().busy == taken);
            assert_eq!(rings(&server.rung_for_spare), expected, "{taken} of 3 are taken");
        }
        for mut client in clients {
            assert!(!read_answer(&mut client).is_empty());
        }
        wait_until("all idle", || server.facts().taken == 0);
        server.board.watch_spare(1);
        let mut client = server.connect();
        get(&mut client, "/");
        assert_eq!(rings(&server.rung_for_spare), 0, "two are left");
        drop(client);
        server.stop();
    });
}

#[test]
fn a_child_that_goes_to_rest_takes_no_wake_up_with_it() {
    both(|kind| {
        // The kernel wakes those first that have come first.
        let swaying = Server::start(kind, Shape { threads: 1, ..Shape::default() });
        let steady = swaying.beside(kind, Shape { threads: 1, ..Shape::default() });
        let driver = Arc::clone(&swaying.driver);
        let both_at_once = Arc::new(Barrier::new(2));
        let (start, stop) = (Arc::clone(&both_at_once), Arc::clone(&both_at_once));
        let sway = thread::spawn(move || {
            for _ in 0..2000 {
                start.wait();
                driver.rest();
                start.wait();
                assert!(driver.resume());
            }
        });
        for _ in 0..2000 {
            // One client at a time: the wake-up that is lost with it is the only one.
            stop.wait();
            let began = Instant::now();
            let mut stream = steady.connect();
            get(&mut stream, "/");
            assert!(began.elapsed() < Duration::from_secs(5), "a client waited for somebody to look");
            stop.wait();
        }
        sway.join().unwrap();
        steady.stop();
        swaying.stop();
    });
}

#[test]
fn kept_connections_move_to_a_child_with_idle_threads_while_requests_wait_here() {
    let server = Server::start(Kind::Reactor, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
    server.board.claim(1, 1, 1);
    let elsewhere = OwnRow::new(Arc::clone(&server.board), 1, None).unwrap();
    elsewhere.ready(Capacity::requests(1, 100));
    let mut kept: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut kept {
        assert!(!says_close(&get(stream, "/")), "nobody waits");
    }
    // One holds the only thread, the others wait behind it; the last one has nobody behind it.
    for (closed, other_is_taken) in [(3, false), (0, true)] {
        if other_is_taken {
            elsewhere.entered();
            kept.push(server.connect());
            kept.push(server.connect());
        }
        kept[0].write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the first at the gate", || server.facts().busy == 1);
        for stream in &mut kept[1..] {
            stream.write_all(GET).unwrap();
        }
        wait_until("the others in the queue", || server.facts().queued as usize == kept.len() - 1);
        // Short waits are not worth a new connection.
        thread::sleep(Duration::from_millis(20));
        server.paths.gate.wait();
        let mut answers: Vec<bool> = kept.iter_mut().map(|stream| says_close(&read_answer(stream))).collect();
        assert_eq!(answers.iter().filter(|close| **close).count(), closed, "{answers:?}");
        kept.retain(|_| !answers.remove(0));
        wait_until("the end of those that moved", || server.facts().connections as usize == kept.len());
    }
    server.stop();
}

#[test]
fn connections_with_a_next_request_on_its_way_do_not_move() {
    for split in [GET.len(), GET.len() + 3, 2 * GET.len()] {
        let server = Server::start(Kind::Reactor, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
        server.board.claim(1, 1, 1);
        let elsewhere = OwnRow::new(Arc::clone(&server.board), 1, None).unwrap();
        elsewhere.ready(Capacity::requests(1, 100));
        let mut kept: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
        kept[0].write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the first at the gate", || server.facts().busy == 1);
        let twice = GET.repeat(2);
        let (first, rest) = twice.split_at(split);
        for stream in &mut kept[1..] {
            stream.write_all(first).unwrap();
        }
        wait_until("the others in the queue", || server.facts().queued as usize == kept.len() - 1);
        for stream in &mut kept[1..] {
            stream.write_all(rest).unwrap();
        }
        thread::sleep(Duration::from_millis(20));
        server.paths.gate.wait();
        read_answer(&mut kept[0]);
        for stream in &mut kept[1..] {
            assert!(!says_close(&read_answer(stream)));
            read_answer(stream);
        }
        server.stop();
    }
}

#[test]
fn a_client_that_always_has_a_next_request_does_not_keep_the_only_thread_from_hearing() {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
    let (mut asks, mut reads) = {
        let stream = server.connect();
        (stream.try_clone().unwrap(), stream)
    };
    let asking = thread::spawn(move || {
        // Far ahead of the answers, until the server closes.
        while asks.write_all(&b"GET /sleep/5 HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500)).is_ok() {}
    });
    for _ in 0..20 {
        assert!(!says_close(&read_answer(&mut reads)));
    }
    server.say_retire();
    let mut kept = 0;
    while !says_close(&read_answer(&mut reads)) {
        kept += 1;
    }
    assert!(kept < 100, "the word was heard after {kept} more answers");
    drop(reads);
    asking.join().unwrap();
    server.join();
}

#[test]
fn a_child_with_requests_for_all_its_threads_leaves_new_clients_to_others() {
    let server = Server::start(Kind::Reactor, Shape { threads: 1, timeouts: patient(), ..Shape::default() });
    server.board.claim(1, 1, 1);
    let mut first = server.connect();
    first.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the only thread is taken", || server.facts().busy == 1);
    let mut second = server.connect();
    let came = Instant::now();
    // Nobody else takes it, so it is accepted after a while; others would have had the time.
    wait_until("it is accepted", || server.facts().connections == 2);
    assert!(came.elapsed() >= Duration::from_millis(20), "{:?}", came.elapsed());
    let mut third = server.connect();
    // What ends the crowd ends the waiting at once.
    server.paths.gate.wait();
    read_answer(&mut first);
    get(&mut third, "/");
    get(&mut second, "/");
    server.stop();
}
