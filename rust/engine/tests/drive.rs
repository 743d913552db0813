//! Both drivers over real sockets, with a gateway made of Rust: what they promise does not depend on Python.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use engine::timeouts::{Rate, Timeouts};
use serving::{Kind, Server, Shape, both, get, read_answer, rings, wait_until};

#[test]
fn kept_alive_requests_and_their_counts() {
    both(|kind| {
        let server = Server::start(kind, Shape::default());
        let mut stream = server.connect();
        for _ in 0..100 {
            assert!(get(&mut stream, "/").ends_with("\r\n\r\nHello, world!"));
        }
        wait_until("the count", || server.board.facts()[0].requests == 100);
        assert_eq!(server.board.facts()[0].connections, 1);
        drop(stream);
        wait_until("the end of the connection", || server.board.facts()[0].connections == 0);
        server.stop();
    });
}

#[test]
fn pipelined_requests_are_answered_in_order() {
    both(|kind| {
        let server = Server::start(kind, Shape::default());
        let mut stream = server.connect();
        let mut bytes = Vec::new();
        for index in 0..50 {
            let body = format!("number {index}");
            bytes.extend(
                format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n{body}", body.len()).bytes(),
            );
        }
        stream.write_all(&bytes).unwrap();
        for index in 0..50 {
            assert!(read_answer(&mut stream).ends_with(&format!("number {index}")));
        }
        server.stop();
    });
}

#[test]
fn a_body_that_comes_byte_by_byte_is_whole_and_so_is_a_large_one() {
    both(|kind| {
        let server = Server::start(kind, Shape::default());
        let mut stream = server.connect();
        stream.set_nodelay(true).unwrap();
        for byte in b"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n" {
            stream.write_all(&[*byte]).unwrap();
        }
        assert!(read_answer(&mut stream).ends_with("abc"));
        let large = "y".repeat(3_000_000);
        let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", large.len());
        let mut writer = stream.try_clone().unwrap();
        let sent = large.clone();
        let sending = thread::spawn(move || {
            writer.write_all(head.as_bytes()).unwrap();
            writer.write_all(sent.as_bytes()).unwrap();
        });
        assert!(read_answer(&mut stream).ends_with(&large));
        sending.join().unwrap();
        server.stop();
    });
}

#[test]
fn a_slow_handler_does_not_keep_others_from_being_received_and_served() {
    let server = Server::start(Kind::Reactor, Shape { threads: 2, ..Shape::default() });
    let mut slow = server.connect();
    slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the slow request", || server.board.facts()[0].busy == 1);
    let mut quick = server.connect();
    for _ in 0..20 {
        assert!(get(&mut quick, "/").ends_with("Hello, world!"));
    }
    server.paths.gate.wait();
    assert!(read_answer(&mut slow).ends_with("through"));
    server.stop();
}

#[test]
fn with_every_thread_busy_requests_are_still_received_refused_and_then_served() {
    let server = Server::start(Kind::Reactor, Shape { threads: 1, ..Shape::default() });
    let mut slow = server.connect();
    slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the slow request", || server.board.facts()[0].busy == 1);
    let mut bad = server.connect();
    bad.write_all(b"GET / HTTP/1.1\r\n\r\n").unwrap();
    let mut refusal = String::new();
    bad.read_to_string(&mut refusal).unwrap();
    assert!(refusal.starts_with("HTTP/1.1 400 "), "{refusal}");
    let mut waiting: Vec<TcpStream> = (0..5).map(|_| server.connect()).collect();
    for stream in &mut waiting {
        stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    }
    wait_until("the queue", || server.board.facts()[0].queued == 5);
    server.paths.gate.wait();
    for stream in &mut waiting {
        assert!(read_answer(stream).ends_with("Hello, world!"));
    }
    assert_eq!(server.paths.most_inside.load(SeqCst), 1);
    server.stop();
}

#[test]
fn many_slow_handlers_run_side_by_side_and_never_more_than_the_threads() {
    let server = Server::start(Kind::Reactor, Shape { threads: 4, ..Shape::default() });
    let clients: Vec<_> = (0..12).map(|_| server.connect()).collect();
    let clients: Vec<_> = clients
        .into_iter()
        .map(|mut stream| {
            thread::spawn(move || {
                for _ in 0..5 {
                    stream.write_all(b"GET /sleep/5 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
                    assert!(read_answer(&mut stream).ends_with("slept"));
                }
            })
        })
        .collect();
    for client in clients {
        client.join().unwrap();
    }
    assert_eq!(server.paths.most_inside.load(SeqCst), 4);
    server.stop();
}

#[test]
fn a_reader_that_does_not_read_holds_no_thread() {
    let server = Server::start(Kind::Reactor, Shape { threads: 1, ..Shape::default() });
    let mut lazy = server.connect();
    lazy.write_all(b"GET /big/30000000 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the large answer", || server.board.facts()[0].requests == 1);
    let mut honest = server.connect();
    assert!(get(&mut honest, "/").ends_with("Hello, world!"));
    assert_eq!(read_answer(&mut lazy).len() - 30_000_000, read_answer_head_length(&server));
    server.stop();
}

fn read_answer_head_length(server: &Server) -> usize {
    let mut stream = server.connect();
    let small = get(&mut stream, "/big/10000000");
    small.len() - 10_000_000
}

#[test]
fn retiring_answers_what_was_read_and_ends_idle_connections() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 3, ..Shape::default() });
        let mut idle = server.connect();
        get(&mut idle, "/");
        let mut under_way = server.connect();
        under_way.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        wait_until("the request under way", || server.board.facts()[0].busy == 1);
        server.retire();
        server.paths.gate.wait();
        let answered = read_answer(&mut under_way);
        assert!(answered.contains("Connection: close") && answered.ends_with("through"), "{answered}");
        let late = get(&mut idle, "/");
        assert!(late.contains("Connection: close"), "{late}");
        assert_eq!(idle.read(&mut [0; 1]).unwrap(), 0);
        server.join();
    });
}

#[test]
fn a_worn_child_says_so_once_and_goes_on_serving() {
    both(|kind| {
        for (connections_per_child, requests_per_child, directive) in
            [(3, 0, "max_connections_per_child"), (0, 3, "max_requests_per_child"), (5, 3, "max_requests_per_child")]
        {
            let server = Server::start(kind, Shape { connections_per_child, requests_per_child, ..Shape::default() });
            for index in 0..8 {
                assert_eq!(server.worn(), (index >= 3).then_some(directive));
                assert_eq!(rings(&server.rung), usize::from(index == 3));
                let mut stream = server.connect();
                let answered = get(&mut stream, "/");
                assert!(answered.ends_with("Hello, world!") && !answered.contains("Connection: close"), "{answered}");
                wait_until("the count", || server.facts().requests == index + 1);
                if requests_per_child == 3 && index == 2 {
                    wait_until("the bound", || server.worn().is_some());
                }
            }
            server.stop();
        }
    });
}

#[test]
fn deadlines_are_acted_on() {
    both(|kind| {
        let short = Rate::fixed(Duration::from_millis(50));
        let timeouts =
            Timeouts { header: short, body: short, keep_alive: Duration::from_millis(50), ..Timeouts::default() };
        let server = Server::start(kind, Shape { timeouts, threads: 4, ..Shape::default() });
        let mut silent = server.connect();
        assert_eq!(silent.read(&mut [0; 1]).unwrap(), 0);
        for begun in ["GET / HT", "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab"] {
            let mut stream = server.connect();
            stream.write_all(begun.as_bytes()).unwrap();
            let mut answered = String::new();
            stream.read_to_string(&mut answered).unwrap();
            assert!(answered.starts_with("HTTP/1.1 408 "), "{answered}");
        }
        let mut kept = server.connect();
        get(&mut kept, "/");
        assert_eq!(kept.read(&mut [0; 1]).unwrap(), 0);
        server.stop();
    });
}

#[test]
fn an_exchange_left_without_an_answer_gets_a_500() {
    both(|kind| {
        let server = Server::start(kind, Shape::default());
        let mut stream = server.connect();
        stream.write_all(b"GET /nothing HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let mut answered = String::new();
        stream.read_to_string(&mut answered).unwrap();
        assert!(answered.starts_with("HTTP/1.1 500 "), "{answered}");
        server.stop();
    });
}

#[test]
fn clients_that_reset_in_any_stage_leave_nothing() {
    both(|kind| {
        let server = Server::start(kind, Shape { threads: 4, ..Shape::default() });
        for begun in [
            "",
            "GET / HT",
            "POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab",
            "GET /big/9000000 HTTP/1.1\r\nHost: x\r\n\r\n",
        ] {
            for _ in 0..10 {
                let mut stream = server.connect();
                stream.write_all(begun.as_bytes()).unwrap();
                let socket = rustix::net::sockopt::set_socket_linger(&stream, Some(Duration::ZERO));
                socket.unwrap();
            }
        }
        wait_until("the end of every connection", || server.board.facts()[0].connections == 0);
        let mut stream = server.connect();
        assert!(get(&mut stream, "/").ends_with("Hello, world!"));
        server.stop();
    });
}

#[test]
fn a_client_that_never_pauses_gives_way_when_another_waits_and_only_then() {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, ..Shape::default() });
    let mut busy = server.connect();
    for _ in 0..50 {
        assert!(!get(&mut busy, "/").contains("Connection: close"));
    }
    let mut waiting = server.connect();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    let answers = (1..=16).find(|_| get(&mut busy, "/").contains("Connection: close"));
    assert!(answers.is_some(), "it did not give way");
    drop(busy);
    assert!(read_answer(&mut waiting).ends_with("Hello, world!"));
    drop(waiting);
    server.stop();
}

#[test]
fn a_client_that_has_sent_its_next_requests_already_gives_way_later() {
    let server = Server::start(Kind::Blocking, Shape { threads: 1, ..Shape::default() });
    let mut ahead = server.connect();
    get(&mut ahead, "/");
    let mut waiting = server.connect();
    waiting.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    ahead.write_all(&b"GET / HTTP/1.1\r\nHost: x\r\n\r\n".repeat(200)).unwrap();
    let answers = (2..=200).find(|_| read_answer(&mut ahead).contains("Connection: close"));
    assert_eq!(answers, Some(64), "what is on its way would have to be sent again");
    drop(ahead);
    assert!(read_answer(&mut waiting).ends_with("Hello, world!"));
    drop(waiting);
    server.stop();
}

#[test]
fn nobody_gives_way_while_a_thread_is_free_to_accept() {
    let server = Server::start(Kind::Blocking, Shape { threads: 3, ..Shape::default() });
    let mut busy = server.connect();
    for _ in 0..64 {
        let mut other = server.connect();
        assert!(!get(&mut busy, "/").contains("Connection: close"));
        assert!(get(&mut other, "/").ends_with("Hello, world!"));
        drop(other);
        // A thread is free when it has seen the end of its client, and that may take a busy machine its time.
        wait_until("the end of the other", || server.board.facts()[0].connections == 1);
    }
    drop(busy);
    server.stop();
}

#[test]
fn a_retired_child_leaves_with_its_last_answer() {
    both(|kind| {
        for _ in 0..20 {
            let long = Duration::from_secs(600);
            let timeouts = Timeouts { header: Rate::fixed(long), keep_alive: long, ..Timeouts::default() };
            let server = Server::start(kind, Shape { threads: 2, timeouts, ..Shape::default() });
            let mut stream = server.connect();
            get(&mut stream, "/");
            server.retire();
            // The connection ends with this answer, inside the turn that gives it, and no event follows.
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").unwrap();
            assert!(read_answer(&mut stream).ends_with("Hello, world!"));
            // With deadlines far away still in its books, the child must not wait for one.
            server.join();
        }
    });
}
