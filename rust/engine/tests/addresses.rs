//! What one client address may have at once, under both drivers. Real sockets, a gateway made of Rust.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;

use serving::{Kind, PerAddress, Server, Shape, both, get, read_answer, wait_until};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

fn limited(limits: &PerAddress, trusted: &'static [&'static str]) -> Shape {
    Shape { threads: 4, per_address: Some(limits.clone()), trusted, ..Shape::default() }
}

/// The whole of what a refused client gets. It may be reset after it, because it was still sending.
fn assert_refused(mut stream: TcpStream, reason: &str) {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 429 Too Many Requests\r\n"), "{answer}");
    assert!(answer.contains("\r\nRetry-After: 1\r\n") && answer.contains("\r\nConnection: close\r\n"), "{answer}");
    assert!(answer.ends_with(&format!("429 Too Many Requests: {reason}\n")), "{answer}");
}

const CONNECTIONS: &str = "too many connections from this address";
const REQUESTS: &str = "too many unfinished requests from this address";

#[test]
fn one_connection_too_many_is_refused_at_once_and_takes_nothing() {
    both(|kind| {
        let server = Server::start(kind, limited(&PerAddress::new(2, 0), &[]));
        let mut held: Vec<TcpStream> = (0..2).map(|_| server.connect()).collect();
        for stream in &mut held {
            assert!(get(stream, "/").ends_with("Hello, world!"));
        }
        for round in 1..=20 {
            assert_refused(server.connect(), CONNECTIONS);
            assert_eq!((server.facts().connections, server.facts().accepted), (2, 2));
            assert_eq!(server.facts().refused_by_address, round);
        }
        drop(held.pop());
        wait_until("its end", || server.facts().connections == 1);
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        server.stop();
    });
}

#[test]
fn the_limit_is_that_of_all_children_together() {
    both(|kind| {
        let limits = PerAddress::new(3, 0);
        let one = Server::start(kind, limited(&limits, &[]));
        let mut held = Vec::new();
        for _ in 0..2 {
            let mut stream = one.connect();
            assert!(get(&mut stream, "/").ends_with("Hello, world!"));
            held.push(stream);
        }
        let other = one.beside(kind, limited(&limits.of_another_child(), &[]));
        let mut third = other.connect();
        assert!(get(&mut third, "/").ends_with("Hello, world!"));
        for _ in 0..10 {
            assert_refused(other.connect(), CONNECTIONS);
        }
        drop((held, third));
        one.stop();
        other.stop();
    });
}

#[test]
fn one_unfinished_request_too_many_is_refused_and_idle_connections_are_none() {
    both(|kind| {
        let server = Server::start(kind, limited(&PerAddress::new(0, 1), &[]));
        let mut idle = server.connect();
        assert!(get(&mut idle, "/").ends_with("Hello, world!"));
        let mut slow = server.connect();
        slow.write_all(b"POST /gate HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\nContent-Length: 1\r\n\r\n").unwrap();
        let mut interim = [0; "HTTP/1.1 100 Continue\r\n\r\n".len()];
        slow.read_exact(&mut interim).unwrap();
        assert!(interim.starts_with(b"HTTP/1.1 100 "), "{}", String::from_utf8_lossy(&interim));
        // Who was asked to go on has begun.
        assert!(refused(&server));
        slow.write_all(b"x").unwrap();
        wait_until("the request", || server.facts().busy == 1);
        idle.write_all(REQUEST).unwrap();
        assert_refused(idle, REQUESTS);
        server.paths.gate.wait();
        assert!(read_answer(&mut slow).ends_with("through"));
        // Each in its turn, as many as there are.
        slow.write_all(&REQUEST.repeat(10)).unwrap();
        for _ in 0..10 {
            assert!(read_answer(&mut slow).ends_with("Hello, world!"));
        }
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        server.stop();
    });
}

/// Whether one more request is refused; what an address has is not seen from outside otherwise.
fn refused(server: &Server) -> bool {
    get(&mut server.connect(), "/").starts_with("HTTP/1.1 429 ")
}

#[test]
fn an_answer_that_is_not_taken_is_an_unfinished_request() {
    let server = Server::start(Kind::Reactor, limited(&PerAddress::new(0, 1), &[]));
    let mut reader = server.connect();
    reader.write_all(b"GET /big/50000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("an answer that waits", || server.facts().requests >= 1 && refused(&server));
    assert!(read_answer(&mut reader).ends_with('x'));
    wait_until("the end of it", || !refused(&server));
    server.stop();
}

#[test]
fn a_refused_upload_is_not_asked_for_and_not_waited_for() {
    both(|kind| {
        let server = Server::start(kind, limited(&PerAddress::new(0, 1), &[]));
        let mut slow = server.connect();
        slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the request", || server.facts().busy == 1);
        for head in
            ["Expect: 100-continue\r\nContent-Length: 10\r\n\r\n", "Content-Length: 10\r\n\r\nhalf", "Half-a: he"]
        {
            let mut upload = server.connect();
            upload.write_all(format!("POST /echo HTTP/1.1\r\nHost: x\r\n{head}").as_bytes()).unwrap();
            assert_refused(upload, REQUESTS);
            wait_until("its end", || server.facts().connections == 1);
        }
        server.paths.gate.wait();
        assert!(read_answer(&mut slow).ends_with("through"));
        server.stop();
    });
}

#[test]
fn proxies_have_no_limit() {
    both(|kind| {
        let server = Server::start(kind, limited(&PerAddress::new(1, 1), &["127.0.0.0/8"]));
        let mut held: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
        for stream in &mut held {
            assert!(get(stream, "/").ends_with("Hello, world!"));
        }
        server.stop();
    });
}

#[test]
fn whoever_leaves_in_whatever_way_counts_no_more() {
    both(|kind| {
        let limits = PerAddress::new(4, 2);
        let server = Server::start(kind, limited(&limits, &[]));
        for round in 0..60 {
            let mut stream = server.connect();
            match round % 5 {
                0 => stream.write_all(b"GET / HT").unwrap(),
                1 => stream.write_all(b"nonsense\r\n\r\n").unwrap(),
                2 => stream.write_all(b"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nhal").unwrap(),
                3 => stream.write_all(b"GET /big/10000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap(),
                _ => drop(get(&mut stream, "/")),
            }
            if round % 2 == 0 {
                rustix::net::sockopt::set_socket_linger(&stream, Some(std::time::Duration::ZERO)).unwrap();
            }
            drop(stream);
            wait_until("its end", || server.facts().connections == 0);
        }
        let mut held: Vec<TcpStream> = (0..4).map(|_| server.connect()).collect();
        for stream in &mut held {
            assert!(get(stream, "/").ends_with("Hello, world!"));
        }
        server.stop();
    });
}
