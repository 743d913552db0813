//! Requests for which the application takes too long: what the client gets, what is told, and who is left alone. Real
//! sockets, a gateway made of Rust, short times.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::sync::atomic::Ordering::SeqCst;
use std::thread;
use std::time::Duration;

use engine::drive::{Deadline, Then};
use engine::timeouts::HandlerTime;
use serving::{Kind, PATIENCE, Server, Shape, both, get, read_answer, rings, wait_until};

const LONG: &str = "1500";

fn within(time: u64, grace: u64, then: Then) -> Deadline {
    Deadline { time: HandlerTime { time: Duration::from_millis(time), grace: Duration::from_millis(grace) }, then }
}

fn start(kind: Kind, deadline: Deadline) -> Server {
    Server::start(kind, Shape { deadline, ..Shape::default() })
}

fn ask(server: &Server, request: &str) -> TcpStream {
    let mut stream = server.connect();
    stream.write_all(request.as_bytes()).unwrap();
    stream
}

/// All that comes until the end; the error is that of a reset.
fn rest(stream: &mut TcpStream) -> (String, bool) {
    let mut bytes = Vec::new();
    let ended = stream.read_to_end(&mut bytes).is_ok();
    (String::from_utf8(bytes).unwrap(), ended)
}

fn late(server: &Server) -> Vec<String> {
    server.paths.late.lock().unwrap().clone()
}

#[test]
fn a_late_answer_is_refused_while_the_thread_is_out_and_thrown_away_afterwards() {
    both(|kind| {
        let server = start(kind, within(100, 60_000, Then::AwaitThread));
        let two = "GET /away-gate HTTP/1.1\r\nHost: x\r\n\r\nGET / HTTP/1.1\r\nHost: x\r\n\r\n";
        let (answer, ended) = rest(&mut ask(&server, two));
        assert!(ended && answer.starts_with("HTTP/1.1 504 Gateway Timeout\r\n"), "{answer}");
        assert!(answer.contains("\r\nConnection: close\r\n") && answer.ends_with("took too long\n"), "{answer}");
        assert_eq!(answer.matches("HTTP/1.1").count(), 1, "{answer}");
        wait_until("the telling", || late(&server) == ["/away-gate Refusal ForApplication"]);
        assert_eq!(server.paths.settled.load(SeqCst), 0);
        server.paths.gate.wait();
        let (answer, _) = rest(&mut ask(&server, &format!("HEAD /away/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n")));
        assert!(answer.starts_with("HTTP/1.1 504 ") && answer.ends_with("\r\n\r\n"), "{answer}");
        wait_until("both threads back", || server.paths.settled.load(SeqCst) == 2);
        wait_until("the connections' ends", || server.facts().connections == 0);
        assert_eq!((server.facts().timed_out, server.worn()), (2, None));
        // Its threads serve on.
        for _ in 0..4 {
            assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        }
        server.stop();
    });
}

#[test]
fn an_answer_that_has_begun_is_broken_off() {
    both(|kind| {
        let server = start(kind, within(100, 60_000, Then::AwaitThread));
        let mut chunked = ask(&server, &format!("GET /stream/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let (answer, _) = rest(&mut chunked);
        assert!(answer.ends_with("\r\n\r\n5\r\nbegun\r\n"), "{answer}");
        // What ends with the connection would look complete.
        let mut until_close = ask(&server, &format!("GET /stream/{LONG} HTTP/1.0\r\n\r\n"));
        let (answer, ended) = rest(&mut until_close);
        assert!(!ended && !answer.contains("more"), "{kind:?} {answer}");
        wait_until("both threads back", || server.paths.settled.load(SeqCst) == 2);
        assert_eq!(late(&server), vec![format!("/stream/{LONG} Part ForApplication"); 2]);
        wait_until("the connections' ends", || server.facts().connections == 0);
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        server.stop();
    });
}

#[test]
fn who_goes_on_saying_something_or_has_asked_for_more_time_is_not_late() {
    both(|kind| {
        let server = start(kind, within(3000, 60_000, Then::AwaitThread));
        let mut stream = ask(&server, &format!("GET /stream{} HTTP/1.0\r\n\r\n", "/320".repeat(10)));
        let mut extended = ask(&server, "GET /extended/3300 HTTP/1.1\r\nHost: x\r\n\r\n");
        let (answer, ended) = rest(&mut stream);
        assert!(ended && answer.ends_with(&format!("begun{}", "more".repeat(10))), "{answer}");
        assert!(read_answer(&mut extended).ends_with("back"));
        // The extension was for that request: the next one on the connection is late again.
        extended.write_all(b"GET /away/4500 HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        assert!(read_answer(&mut extended).contains(" 504 "));
        wait_until("the thread back", || server.paths.settled.load(SeqCst) == 1);
        assert_eq!(late(&server).len(), 1);
        server.stop();
    });
}

#[test]
fn a_complete_answer_is_delivered_though_the_application_goes_on() {
    both(|kind| {
        let server = start(kind, within(100, 60_000, Then::AwaitThread));
        let mut stream = ask(&server, &format!("GET /close/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n"));
        let (answer, _) = rest(&mut stream);
        assert!(answer.ends_with("complete"), "{answer}");
        wait_until("the thread back", || server.paths.settled.load(SeqCst) == 1);
        assert_eq!(late(&server), [format!("/close/{LONG} All ForApplication")]);
        wait_until("the connection's end", || server.facts().connections == 0);
        server.stop();
    });
}

#[test]
fn threads_that_do_not_come_back_wear_the_child_once() {
    both(|kind| {
        let server = start(kind, within(50, 50, Then::AwaitThread));
        let mut streams: Vec<_> =
            (0..2).map(|_| ask(&server, &format!("GET /away/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n"))).collect();
        wait_until("the child worn", || server.worn() == Some("timeout"));
        assert!(server.paths.settled.load(SeqCst) < 2, "worn before the threads were back");
        for stream in &mut streams {
            assert!(rest(stream).0.contains(" 504 "));
        }
        wait_until("both threads back", || server.paths.settled.load(SeqCst) == 2);
        assert_eq!((rings(&server.rung), server.paths.ended.load(SeqCst)), (1, 0));
        server.stop();
    });
}

#[test]
fn who_waits_in_a_child_whose_threads_are_lost_is_told_so_when_it_leaves() {
    let server = start(Kind::Reactor, within(50, 50, Then::AwaitThread));
    let mut stuck: Vec<_> = (0..2).map(|_| ask(&server, "GET /away/6000 HTTP/1.1\r\nHost: x\r\n\r\n")).collect();
    wait_until("both inside", || server.paths.inside.load(SeqCst) == 2);
    let mut waits = ask(&server, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    wait_until("the third queued", || server.facts().queued == 1);
    for stream in &mut stuck {
        assert!(rest(stream).0.contains(" 504 "));
    }
    wait_until("the child worn", || server.worn() == Some("timeout"));
    server.retire();
    let (answer, _) = rest(&mut waits);
    assert!(answer.starts_with("HTTP/1.1 503 ") && answer.contains("\r\nRetry-After: "), "{answer}");
    wait_until("both threads back", || server.paths.settled.load(SeqCst) == 2);
    server.join();
}

#[test]
fn a_process_that_is_to_end_ends_once_its_client_has_its_answer() {
    both(|kind| {
        let server = start(kind, within(50, 0, Then::EndProcess));
        let mut stream = ask(&server, &format!("GET /away/{LONG} HTTP/1.1\r\nHost: x\r\n\r\n"));
        wait_until("the end", || server.paths.ended.load(SeqCst) == 1);
        assert_eq!(late(&server).len(), 1);
        assert!(rest(&mut stream).0.contains(" 504 "));
        server.stop();
    });
}

#[test]
fn a_thread_that_comes_back_while_its_process_ends_turns_to_nobody_else() {
    both(|kind| {
        let server = start(kind, within(50, 0, Then::EndProcess));
        assert!(rest(&mut ask(&server, "GET /away/250 HTTP/1.1\r\nHost: x\r\n\r\n")).0.contains(" 504 "));
        // On a machine that is too busy it is back before the process even begins to end.
        wait_until("the thread back", || server.paths.settled.load(SeqCst) == 1);
        let paths = Arc::clone(&server.paths);
        server.stop();
        assert_eq!(paths.came_back.load(SeqCst), 0);
    });
}

#[test]
fn whoever_waits_for_the_interpreter_is_answered_without_it() {
    both(|kind| {
        let deadline = within(100, 100, Then::AwaitThread);
        let server = Server::start(kind, Shape { deadline, locked: true, ..Shape::default() });
        let mut holds = ask(&server, "GET /away/3000 HTTP/1.1\r\nHost: x\r\n\r\n");
        wait_until("the first inside", || server.paths.inside.load(SeqCst) == 1);
        let mut waits = ask(&server, "GET /waits HTTP/1.1\r\nHost: x\r\n\r\n");
        for stream in [&mut holds, &mut waits] {
            assert!(rest(stream).0.contains(" 504 "), "{kind:?}");
        }
        wait_until("the end, since nobody could be told", || server.paths.ended.load(SeqCst) > 0);
        assert_eq!(server.worn(), None);
        // Here the process has not ended: all goes on when the interpreter is free.
        wait_until("the telling", || late(&server).len() == 2);
        assert!(late(&server).contains(&"/waits Refusal ForInterpreter".to_owned()), "{:?}", late(&server));
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        server.stop();
    });
}

#[test]
fn around_the_deadline_every_client_gets_one_answer() {
    both(|kind| {
        let deadline = within(20, 60_000, Then::AwaitThread);
        let server = Server::start(kind, Shape { threads: 4, deadline, ..Shape::default() });
        let clients: Vec<_> = (0..8_u64)
            .map(|client| {
                let address = server.address;
                thread::spawn(move || {
                    let mut refused = 0;
                    let mut connection: Option<TcpStream> = None;
                    for round in 0..40_u64 {
                        let stream = connection.get_or_insert_with(|| TcpStream::connect(address).unwrap());
                        stream.set_read_timeout(Some(PATIENCE)).unwrap();
                        let answer = get(stream, &format!("/away/{}", 15 + (client * 7 + round * 3) % 10));
                        if answer.contains(" 504 ") {
                            refused += 1;
                            assert_eq!(rest(stream), (String::new(), true));
                            connection = None;
                        } else {
                            assert!(answer.starts_with("HTTP/1.1 200 ") && answer.ends_with("back"), "{answer}");
                        }
                    }
                    refused
                })
            })
            .collect();
        let refused: u64 = clients.into_iter().map(|client| client.join().unwrap()).sum();
        wait_until("all settled", || server.paths.settled.load(SeqCst) as u64 == refused);
        assert_eq!(server.facts().timed_out, refused);
        server.stop();
    });
}
