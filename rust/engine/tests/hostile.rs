//! Clients that leave, stall or flood at the worst moment, against both drivers over real sockets.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use engine::timeouts::{Rate, Timeouts};
use serving::{Kind, Server, Shape, both, get, read_answer, wait_until};

fn reset(stream: TcpStream) {
    rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO)).unwrap();
    drop(stream);
}

#[test]
fn nothing_of_an_answer_that_was_lost_reaches_the_next_client() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 1, ..Shape::default() });
        let mut leaving = server.connect();
        leaving.write_all(b"GET /blocks/40000/17 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        server.paths.gate.wait();
        reset(leaving);
        server.paths.gate.wait();
        wait_until("the end of the connection", || server.board.facts()[0].connections == 0);
        let next = get(&mut server.connect(), "/");
        assert!(next.starts_with("HTTP/1.1 200 OK\r\n"), "{next}");
        server.stop();
    });
}

#[test]
fn a_client_that_takes_nothing_of_its_answer_gains_no_time_by_sending() {
    both(|kind| {
        let response = Rate::fixed(Duration::from_millis(300));
        let timeouts = Timeouts { response, ..Timeouts::default() };
        let server = Server::start(kind, Shape { timeouts, ..Shape::default() });
        let mut stream = server.connect();
        stream.write_all(b"GET /big/30000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the answer", || server.board.facts()[0].requests == 1);
        wait_until("the end of the connection", || {
            // Fails once the server has closed.
            let _ = (&stream).write_all(b"G");
            thread::sleep(Duration::from_millis(5));
            server.board.facts()[0].connections == 0
        });
        server.stop();
    });
}

#[test]
fn a_connection_that_was_announced_as_kept_takes_one_more_request_when_the_child_retires() {
    both(|kind| {
        let server = Server::start(kind, Shape::default());
        let mut stream = server.connect();
        stream.write_all(b"GET /blocks/5 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        server.paths.gate.wait();
        server.retire();
        server.paths.gate.wait();
        assert!(!read_answer(&mut stream).contains("Connection: close"));
        let last = get(&mut stream, "/");
        assert!(last.contains("Connection: close"), "{last}");
        server.join();
    });
}

#[test]
fn clients_that_send_nothing_do_not_hold_up_a_retired_child() {
    both(|kind| {
        let timeouts = Timeouts { retired: Duration::from_millis(50), ..Timeouts::default() };
        let server = Server::start(kind, Shape { timeouts, threads: 3, ..Shape::default() });
        let silent = server.connect();
        let mut kept = server.connect();
        get(&mut kept, "/");
        let mut blank = server.connect();
        get(&mut blank, "/");
        blank.write_all(b"\r\n").unwrap();
        wait_until("the connections", || server.board.facts()[0].connections == 3);
        server.stop();
        drop((silent, kept, blank));
    });
}

#[test]
fn room_for_an_answer_is_noticed_whoever_holds_the_wire() {
    let server = Server::start(Kind::Reactor, Shape { threads: 4, ..Shape::default() });
    let readers: Vec<_> = (0..8)
        .map(|_| {
            let mut stream = server.connect();
            thread::spawn(move || {
                for _ in 0..60 {
                    assert!(get(&mut stream, "/sleep/1/3000000").ends_with("sss"));
                }
            })
        })
        .collect();
    for reader in readers {
        reader.join().unwrap();
    }
    server.stop();
}

#[test]
fn a_handler_that_keeps_the_interpreter_does_not_keep_the_child_from_receiving() {
    let server = Server::start(Kind::Reactor, Shape { threads: 3, locked: true, ..Shape::default() });
    let mut slow = server.connect();
    slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the slow request", || server.paths.inside.load(SeqCst) == 1);
    let mut waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    wait_until("threads that wait for the interpreter", || server.board.facts()[0].busy == 3);
    let mut bad = server.connect();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut refusal = String::new();
    bad.read_to_string(&mut refusal).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 "), "{refusal}");
    server.paths.gate.wait();
    for stream in &mut waiting {
        assert!(read_answer(stream).ends_with("Hello, world!"));
    }
    server.stop();
}
