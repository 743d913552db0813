//! The blocking driver over real sockets, when clients hold all its threads and others wait: who is behind makes way, and
//! nobody else does.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use engine::timeouts::{Contended, Rate, Timeouts};
use serving::{Kind, PATIENCE, Server, Shape, get, wait_until};

const BEHIND: Duration = Duration::from_millis(200);
const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

/// Deadlines that no test lives to see, but for what is left when others wait.
fn patient() -> Timeouts {
    let usual = Rate::at_least(500, 10 * PATIENCE);
    Timeouts {
        header: usual,
        body: usual,
        response: usual,
        keep_alive: 10 * PATIENCE,
        linger: 10 * PATIENCE,
        linger_silence: 10 * PATIENCE,
        contended: Contended { header: BEHIND, body: BEHIND, response: BEHIND, ..Contended::default() },
        ..Timeouts::default()
    }
}

fn serving(threads: usize) -> Server {
    Server::start(Kind::Blocking, Shape { threads, timeouts: patient(), response_limit: 100_000, ..Shape::default() })
}

fn until_end(stream: &mut TcpStream) -> String {
    let mut answer = Vec::new();
    // A server that has no time for a client may reset what is on its way after the answer.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

fn all_taken(server: &Server, threads: u32) {
    wait_until("all threads are taken", || server.facts().connections == threads);
}

/// The only thread is held by a client that sends `request` and no more: another one is served all the same. What the first
/// one gets is given back.
fn makes_way(request: &[u8]) -> String {
    let server = serving(1);
    let mut slow = server.connect();
    slow.write_all(request).unwrap();
    all_taken(&server, 1);
    assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
    let end = until_end(&mut slow);
    server.stop();
    end
}

#[test]
fn a_silent_client_makes_way_in_silence() {
    assert_eq!(makes_way(b""), "");
}

#[test]
fn a_head_that_does_not_come_makes_way() {
    let answer = makes_way(b"GET / HTTP/1.1\r\nHost");
    assert!(answer.starts_with("HTTP/1.1 408 ") && answer.contains("Connection: close"), "{answer}");
}

#[test]
fn a_body_that_does_not_come_makes_way() {
    let answer = makes_way(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000\r\n\r\nx");
    assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
}

#[test]
fn a_reader_that_does_not_read_makes_way_with_a_made_answer_and_with_one_that_is_made_meanwhile() {
    for path in ["/big/30000000", "/endless"] {
        let answer = makes_way(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes());
        assert!(answer.len() < 30_000_000, "{path}");
    }
}

#[test]
fn a_refused_client_that_does_not_go_makes_way() {
    let answer = makes_way(b"no request at all\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn a_kept_connection_makes_way() {
    let answer = makes_way(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.ends_with("Hello, world!"), "{answer}");
}

#[test]
fn nobody_makes_way_while_nobody_waits() {
    let server = serving(2);
    let mut slow = server.connect();
    slow.write_all(&GET[..9]).unwrap();
    all_taken(&server, 1);
    let mut other = server.connect();
    all_taken(&server, 2);
    let until = Instant::now() + 3 * BEHIND;
    while Instant::now() < until {
        assert!(get(&mut other, "/").ends_with("Hello, world!"), "there is another thread");
    }
    slow.write_all(&GET[9..]).unwrap();
    assert!(until_end(&mut slow).ends_with("Hello, world!"));
    server.stop();
}

#[test]
fn who_keeps_the_rate_makes_way_for_nobody() {
    // A byte is worth a second, and a silence must be longer than a busy machine makes one.
    let behind = Duration::from_millis(1500);
    let contended = Contended { body: behind, ..Contended::default() };
    let timeouts = Timeouts { body: Rate::at_least(1, 10 * PATIENCE), contended, ..patient() };
    let server = Server::start(Kind::Blocking, Shape { threads: 1, timeouts, ..Shape::default() });
    let mut steady = server.connect();
    steady.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 80\r\n\r\n").unwrap();
    all_taken(&server, 1);
    let mut other = server.connect();
    other.write_all(GET).unwrap();
    for _ in 0..80 {
        thread::sleep(Duration::from_millis(25)); // as slow as it may be
        steady.write_all(b"y").unwrap();
    }
    assert!(until_end(&mut steady).starts_with("HTTP/1.1 200 "));
    assert!(until_end(&mut other).ends_with("Hello, world!"));
    server.stop();
}

#[test]
fn a_reader_does_not_make_way_while_the_application_is_what_others_wait_for() {
    let timeouts = Timeouts { contended: Contended { response: 10 * PATIENCE, ..patient().contended }, ..patient() };
    let server = Server::start(Kind::Blocking, Shape { threads: 2, timeouts, ..Shape::default() });
    let mut reader = server.connect();
    reader.write_all(b"GET /big/30000000 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    all_taken(&server, 1);
    let mut others: Vec<TcpStream> = (0..40).map(|_| server.connect()).collect();
    for (number, client) in others.iter_mut().enumerate() {
        let gate: &[u8] = b"GET /gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
        client.write_all(if number == 0 { gate } else { GET }).unwrap();
    }
    all_taken(&server, 2);
    thread::sleep(Duration::from_millis(600)); // far longer than what many waiting clients would leave a reader
    server.paths.gate.wait();
    assert!(until_end(&mut reader).len() > 30_000_000);
    for client in &mut others {
        assert!(until_end(client).starts_with("HTTP/1.1 200 "));
    }
    server.stop();
}

/// The only thread is in the application; clients come meanwhile, and wait for longer than they may be behind.
fn after_a_wait_in_the_queue(timeouts: Timeouts, requests: &[&[u8]]) -> Vec<String> {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, timeouts, ..Shape::default() });
    let mut first = server.connect();
    first.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
    all_taken(&server, 1);
    let mut clients: Vec<TcpStream> = requests.iter().map(|_| server.connect()).collect();
    for (client, request) in clients.iter_mut().zip(requests) {
        client.write_all(request).unwrap();
    }
    thread::sleep(2 * BEHIND); // the passing of time is what is tested
    server.paths.gate.wait();
    let ends = clients.iter_mut().map(until_end).collect();
    server.stop();
    ends
}

#[test]
fn time_in_the_queue_is_used_time() {
    // Who waits behind the slow one would wait in vain if its time began only now.
    let never = Contended { header: PATIENCE / 100, ..Contended::default() };
    let timeouts = Timeouts { header: Rate { initial: 2 * BEHIND, ..Rate::at_least(1_000_000, BEHIND) }, ..patient() };
    let ends = after_a_wait_in_the_queue(Timeouts { contended: never, ..timeouts }, &[b"GET / HTTP/1.1\r\n", b"", GET]);
    assert!(ends[0].starts_with("HTTP/1.1 408 "), "{ends:?}");
    assert_eq!(ends[1], "");
    assert!(ends[2].ends_with("Hello, world!"), "{ends:?}");
}

#[test]
fn a_request_that_is_complete_is_answered_however_long_it_has_waited() {
    let header = Rate { maximum: Some(BEHIND), ..Rate::at_least(1_000_000, BEHIND) };
    let ends = after_a_wait_in_the_queue(Timeouts { header, ..patient() }, &[GET, GET, GET]);
    for end in ends {
        assert!(end.ends_with("Hello, world!"), "{end}");
    }
}
