//! Clients that send or take slowly, against both drivers over real sockets: who keeps the rate is served, who does not
//! is cut off. What the rates allow exactly is tested with a clock of its own, in `rates`.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use engine::timeouts::{Rate, Timeouts};
use serving::{Kind, PATIENCE, Server, Shape, both, wait_until};

const ALLOWED: Duration = Duration::from_millis(300);

/// Waits, in steps, as a slow client does.
fn step(length: Duration) {
    thread::sleep(length);
}

fn serving(kind: Kind, timeouts: Timeouts) -> Server {
    Server::start(kind, Shape { timeouts, ..Shape::default() })
}

/// Asks for `path`, takes `piece` of them every ten milliseconds, and tells how many came until the end.
fn take_slowly(server: &Server, path: &str, piece: usize) -> usize {
    let mut stream = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 16_384).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").as_bytes()).unwrap();
    let mut taken = 0;
    let mut buffer = vec![0; piece];
    loop {
        match stream.read(&mut buffer) {
            Ok(0) | Err(_) => return taken,
            Ok(count) => taken += count,
        }
        step(Duration::from_millis(10));
    }
}

#[test]
fn a_reader_that_keeps_the_rate_gets_all_however_much_the_system_holds_for_it() {
    both(|kind| {
        // The system takes megabytes at once, and tells of room only when a third of them are gone: much later than the
        // allowance. The client takes at most 1.6 MB/s all the while.
        let server = serving(kind, Timeouts { response: Rate::at_least(100_000, ALLOWED), ..Timeouts::default() });
        let began = Instant::now();
        assert!(take_slowly(&server, "/big/8000000", 16_384) > 8_000_000);
        assert!(began.elapsed() > 3 * ALLOWED, "the reader was not slow");
        server.stop();
    });
}

#[test]
fn a_reader_below_the_rate_is_closed() {
    both(|kind| {
        let server = serving(kind, Timeouts { response: Rate::at_least(10_000_000, ALLOWED), ..Timeouts::default() });
        let began = Instant::now();
        assert!(take_slowly(&server, "/big/30000000", 1000) < 10_000_000);
        assert!(began.elapsed() > ALLOWED);
        wait_until("the end of the connection", || server.board.facts()[0].connections == 0);
        server.stop();
    });
}

/// Sends a body of `pieces` times `piece` bytes, one every twenty milliseconds, and gives the answer.
fn send_slowly(server: &Server, pieces: usize, piece: usize) -> String {
    let mut stream = server.connect();
    let length = pieces * piece;
    stream
        .write_all(
            format!("POST /echo HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: {length}\r\n\r\n")
                .as_bytes(),
        )
        .unwrap();
    for _ in 0..pieces {
        step(Duration::from_millis(20));
        if stream.write_all(&vec![b'x'; piece]).is_err() || answered(&stream) {
            break;
        }
    }
    let mut answer = String::new();
    // A server that has given up may reset what is sent after its answer.
    let _ = stream.read_to_string(&mut answer);
    answer
}

fn answered(stream: &TcpStream) -> bool {
    stream.set_nonblocking(true).unwrap();
    let answered = stream.peek(&mut [0]).is_ok();
    stream.set_nonblocking(false).unwrap();
    answered
}

#[test]
fn a_body_that_keeps_the_rate_may_take_its_time_and_no_other() {
    both(|kind| {
        let server = serving(kind, Timeouts { body: Rate::at_least(1000, ALLOWED), ..Timeouts::default() });
        let began = Instant::now();
        let answer = send_slowly(&server, 50, 100);
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(began.elapsed() > 3 * ALLOWED, "the sender was not slow");
        let answer = send_slowly(&server, 500, 1);
        assert!(answer.starts_with("HTTP/1.1 408 "), "{answer}");
        server.stop();
    });
}

/// Sends as fast as the server takes it, until it takes no more, and gives the answer.
fn send_without_end(server: &Server) -> String {
    let mut stream = server.connect();
    stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n").unwrap();
    // Chunks of one byte: much to receive, and little to hold.
    let piece = b"1\r\nx\r\n".repeat(10_000);
    let until = Instant::now() + PATIENCE;
    let mut answer = Vec::new();
    thread::scope(|scope| {
        let mut sending = &stream;
        scope.spawn(move || while Instant::now() < until && sending.write_all(&piece).is_ok() {});
        let mut reading = &stream;
        // A reset after the answer is as good as an end.
        let _ = reading.read_to_end(&mut answer);
        // Whether there was an answer or not: no more is sent.
        let _ = stream.shutdown(std::net::Shutdown::Both);
    });
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn a_body_that_comes_faster_than_it_is_read_is_ended_by_the_maximum_and_by_a_fixed_time() {
    both(|kind| {
        let within = Rate { maximum: Some(2 * ALLOWED), ..Rate::at_least(1000, ALLOWED) };
        for body in [within, Rate::fixed(ALLOWED)] {
            let server = serving(kind, Timeouts { body, ..Timeouts::default() });
            let answer = send_without_end(&server);
            assert!(answer.starts_with("HTTP/1.1 408 "), "{kind:?} {body:?}: {answer}");
            server.stop();
        }
    });
}

#[test]
fn an_application_that_waits_for_its_reader_does_not_renew_its_time() {
    both(|kind| {
        let timeouts = Timeouts { response: Rate::at_least(10_000_000, ALLOWED), ..Timeouts::default() };
        let server = Server::start(kind, Shape { timeouts, response_limit: 100_000, ..Shape::default() });
        // Each look at the socket makes room for some more of the answer, and for one more wait of the application.
        take_slowly(&server, "/endless", 20_000);
        wait_until("the end of the connection", || server.board.facts()[0].connections == 0);
        server.stop();
    });
}

#[test]
fn a_client_that_says_nothing_at_all_is_closed_by_the_handshake_and_one_that_began_is_not() {
    both(|kind| {
        let server = serving(kind, Timeouts { handshake: Rate::fixed(ALLOWED), ..Timeouts::default() });
        let mut begun = server.connect();
        begun.write_all(b"GET / HTTP/1.1\r\n").unwrap();
        assert_eq!(server.connect().read(&mut [0; 1]).unwrap(), 0);
        begun.write_all(b"Host: x\r\nConnection: close\r\n\r\n").unwrap();
        let mut answer = String::new();
        begun.read_to_string(&mut answer).unwrap();
        assert!(answer.ends_with("Hello, world!"), "{answer}");
        server.stop();
    });
}

/// Sends a byte every ten milliseconds until the server has closed.
fn send_on(mut stream: TcpStream) {
    let began = Instant::now();
    while stream.write_all(b"x").is_ok() {
        assert!(began.elapsed() < PATIENCE, "the server never closes");
        step(Duration::from_millis(10));
    }
}

/// A client that the server has refused with `status`: it has the answer, and sends as it likes.
fn refused(server: &Server, status: u16, request: &str) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with(&format!("HTTP/1.1 {status} ")), "{answer}");
    stream
}

#[test]
fn a_refused_client_is_lingered_for_until_it_is_silent_or_has_had_its_time() {
    let long = 3 * PATIENCE;
    both(|kind| {
        let body = Rate::fixed(ALLOWED);
        let too_large = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9999999999\r\n\r\n";
        let too_slow = "POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\n";

        let server = serving(kind, Timeouts { linger: long, linger_silence: ALLOWED, ..Timeouts::default() });
        let silent = refused(&server, 413, too_large);
        wait_until("the end of a silent connection", || server.facts().connections == 0);
        drop(silent);
        server.stop();

        let server = serving(kind, Timeouts { linger: ALLOWED, linger_silence: long, ..Timeouts::default() });
        send_on(refused(&server, 413, too_large));
        server.stop();

        let server = serving(kind, Timeouts { body, linger: long, linger_silence: ALLOWED, ..Timeouts::default() });
        send_on(refused(&server, 408, too_slow));
        server.stop();
    });
}
