//! More than can be served: what a client gets, and who makes room for whom. Real sockets, a gateway made of Rust.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::atomic::Ordering::SeqCst;
use std::time::{Duration, Instant};

use engine::drive::QueueBounds;
use engine::timeouts::Timeouts;
use serving::{Kind, PATIENCE, Server, Shape, both, get, read_answer, wait_until};

const REQUEST: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n";

/// A server whose only thread is inside the application, and the client that keeps it there.
fn occupied(queue: QueueBounds) -> (Server, TcpStream) {
    let server = Server::start(Kind::Reactor, Shape { threads: 1, queue, ..Shape::default() });
    let mut slow = server.connect();
    slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    // A thread is counted as busy just before its request is taken from the queue.
    wait_until("the slow request", || server.facts().busy == 1 && server.facts().queued == 0);
    (server, slow)
}

fn queue_one(server: &Server) -> TcpStream {
    let before = server.facts().queued;
    let mut stream = server.connect();
    stream.write_all(REQUEST).unwrap();
    wait_until("the request in the queue", || server.facts().queued == before + 1);
    stream
}

fn assert_refused(mut stream: TcpStream) -> u64 {
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
    let retry = answer.lines().find_map(|line| line.strip_prefix("Retry-After: ")).expect("a Retry-After");
    retry.parse().unwrap()
}

#[test]
fn a_full_queue_answers_503_and_those_in_it_are_served() {
    let (server, mut slow) = occupied(QueueBounds { requests: 3, time: Duration::from_secs(60) });
    let mut waiting: Vec<TcpStream> = (0..3).map(|_| queue_one(&server)).collect();
    for _ in 0..5 {
        let mut stream = server.connect();
        stream.write_all(REQUEST).unwrap();
        let retry = assert_refused(stream);
        assert!((1..30).contains(&retry), "{retry}");
    }
    assert_eq!((server.facts().queued, server.facts().turned_away), (3, 5));
    server.paths.gate.wait();
    assert!(read_answer(&mut slow).ends_with("through"));
    for stream in &mut waiting {
        assert!(read_answer(stream).ends_with("Hello, world!"));
    }
    let mut again = server.connect();
    assert!(get(&mut again, "/").ends_with("Hello, world!"));
    server.stop();
}

/// What a front end says that has had a request for so long.
fn request_of_before(before: Duration) -> String {
    let start = (std::time::SystemTime::now() - before).duration_since(std::time::UNIX_EPOCH).unwrap();
    format!("GET / HTTP/1.1\r\nHost: x\r\nX-Request-Start: t={:.3}\r\n\r\n", start.as_secs_f64())
}

#[test]
fn the_wait_in_front_of_the_server_is_part_of_the_wait() {
    both(|kind| {
        for (trusted, waits) in [(&["127.0.0.0/8"][..], true), (&["10.0.0.0/8"], false)] {
            let queue = QueueBounds { requests: 10, time: Duration::from_secs(300) };
            let server = Server::start(kind, Shape { queue, trusted, ..Shape::default() });
            let mut stream = server.connect();
            for number in 1..4 {
                stream.write_all(request_of_before(Duration::from_secs(100)).as_bytes()).unwrap();
                assert!(read_answer(&mut stream).ends_with("Hello, world!"));
                let waited = server.facts().queue_time;
                assert_eq!(waited >= Duration::from_secs(99) * number, waits, "{waited:?}");
            }
            stream.write_all(request_of_before(Duration::from_secs(1000)).as_bytes()).unwrap();
            // Only the reactor has a queue, and a bound for it.
            let refused = read_answer(&mut stream).starts_with("HTTP/1.1 503 ");
            assert_eq!(refused, waits && kind == Kind::Reactor);
            server.stop();
        }
    });
}

#[test]
fn a_burst_for_which_threads_are_free_is_not_refused() {
    let queue = QueueBounds { requests: 1, time: Duration::ZERO };
    let server = Server::start(Kind::Reactor, Shape { threads: 8, queue, ..Shape::default() });
    for _ in 0..50 {
        let mut burst: Vec<TcpStream> = (0..8).map(|_| server.connect()).collect();
        for stream in &mut burst {
            stream.write_all(REQUEST).unwrap();
        }
        for stream in &mut burst {
            assert!(read_answer(stream).ends_with("Hello, world!"));
        }
    }
    server.stop();
}

#[test]
fn a_request_is_refused_when_its_time_in_the_queue_is_over_though_no_thread_is_free() {
    let limit = Duration::from_millis(150);
    let (server, mut slow) = occupied(QueueBounds { requests: 10, time: limit });
    let began = Instant::now();
    let first = queue_one(&server);
    let second = queue_one(&server);
    assert_eq!(assert_refused(first), 1);
    assert!(began.elapsed() >= limit);
    assert_refused(second);
    assert_eq!(server.facts().queued, 0);
    assert_eq!(server.paths.inside.load(SeqCst), 1);
    server.paths.gate.wait();
    assert!(read_answer(&mut slow).ends_with("through"));
    server.stop();
}

#[test]
fn pipelined_requests_beyond_the_bound_are_refused_in_order() {
    let (server, mut slow) = occupied(QueueBounds { requests: 1, time: Duration::from_secs(60) });
    let waiting = queue_one(&server);
    let mut pipeline = server.connect();
    pipeline.write_all(&REQUEST.repeat(3)).unwrap();
    assert_refused(pipeline);
    server.paths.gate.wait();
    assert!(read_answer(&mut slow).ends_with("through"));
    drop(waiting);
    server.stop();
}

#[test]
fn a_request_whose_client_has_reset_the_connection_does_not_reach_the_application() {
    let (server, mut slow) = occupied(QueueBounds { requests: 10, time: Duration::from_secs(60) });
    let gone = queue_one(&server);
    let mut half_closed = queue_one(&server);
    rustix::net::sockopt::set_socket_linger(&gone, Some(Duration::ZERO)).unwrap();
    drop(gone);
    half_closed.shutdown(std::net::Shutdown::Write).unwrap();
    // Long enough in the queue to be worth a look.
    std::thread::sleep(Duration::from_millis(30));
    server.paths.gate.wait();
    assert!(read_answer(&mut slow).ends_with("through"));
    assert!(read_answer(&mut half_closed).ends_with("Hello, world!"));
    wait_until("the counts", || server.facts().requests == 2 && server.facts().dropped == 1);
    assert!(server.facts().queue_time >= Duration::from_millis(30), "{:?}", server.facts());
    drop((slow, half_closed));
    wait_until("the end of all connections", || server.facts().connections == 0);
    assert_eq!(server.facts().requests, 2, "the slow one and the half-closed one, not the one that has gone");
    server.stop();
}

/// A child that holds three connections at most.
fn small() -> Server {
    let mut timeouts = Timeouts { keep_alive: Duration::from_secs(60), ..Timeouts::default() };
    // Who is in the middle of something is not behind.
    timeouts.contended.header = Duration::from_secs(60);
    Server::start(Kind::Reactor, Shape { threads: 1, open_connections: 3, timeouts, ..Shape::default() })
}

#[test]
fn a_full_child_gives_up_the_connection_that_has_been_idle_for_longest() {
    let server = small();
    let mut kept: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
    for stream in kept.iter_mut().rev() {
        assert!(get(stream, "/").ends_with("Hello, world!"));
    }
    let mut newcomer = server.connect();
    assert!(get(&mut newcomer, "/").ends_with("Hello, world!"));
    assert_eq!(kept[2].read(&mut [0]).unwrap(), 0, "the first that was idle is closed, and not by a reset");
    for stream in &mut kept[..2] {
        assert!(get(stream, "/").ends_with("Hello, world!"));
    }
    assert_eq!(server.facts().connections, 3);
    server.stop();
}

#[test]
fn a_full_child_gives_up_nobody_who_is_in_the_middle_of_something_and_nobody_for_nothing() {
    let server = small();
    let mut in_head = server.connect();
    in_head.write_all(b"GET / HTTP/1.1\r\nHo").unwrap();
    let mut in_handler = server.connect();
    in_handler.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the handler", || server.facts().busy == 1);
    let silent = server.connect();
    wait_until("three connections", || server.facts().connections == 3);
    let mut newcomer = server.connect();
    newcomer.write_all(REQUEST).unwrap();
    wait_until("the newcomer", || server.somebody_waits());
    // Longer than an idle connection would be left alone.
    std::thread::sleep(Duration::from_millis(300));
    assert!(server.somebody_waits());
    in_head.write_all(b"st: x\r\n\r\n").unwrap();
    server.paths.gate.wait();
    assert!(read_answer(&mut in_head).ends_with("Hello, world!"));
    assert!(read_answer(&mut in_handler).ends_with("through"));
    // Now two of the three are idle, and the newcomer has the place of one of them.
    assert!(read_answer(&mut newcomer).ends_with("Hello, world!"));
    assert_eq!(server.facts().connections, 3);
    drop(silent);
    server.stop();
}

#[test]
fn many_newcomers_at_a_full_child_are_all_served() {
    let server = small();
    let kept: Vec<TcpStream> = (0..60)
        .map(|_| {
            let mut stream = server.connect();
            assert!(get(&mut stream, "/").ends_with("Hello, world!"));
            stream
        })
        .collect();
    assert_eq!(server.facts().connections, 3);
    drop(kept);
    server.stop();
}

#[test]
fn a_full_child_of_clients_that_go_on_asking_has_room_for_another_after_a_while() {
    let server = small();
    std::thread::scope(|scope| {
        let mut busy: Vec<TcpStream> = (0..3).map(|_| server.connect()).collect();
        for stream in &mut busy {
            assert!(get(stream, "/").ends_with("Hello, world!"));
        }
        let mut newcomer = server.connect();
        newcomer.write_all(REQUEST).unwrap();
        wait_until("the newcomer", || server.somebody_waits());
        // So many that somebody waits until each of the three was told to make way.
        let others: Vec<TcpStream> = (0..6).map(|_| server.connect()).collect();
        for mut stream in busy {
            let until = Instant::now() + PATIENCE;
            scope.spawn(move || {
                while !get(&mut stream, "/").contains("Connection: close") {
                    assert!(Instant::now() < until, "nobody made way");
                }
            });
        }
        assert!(read_answer(&mut newcomer).ends_with("Hello, world!"));
        others
    });
    server.stop();
}

/// A child whose threads keep connections for a long time, and as many connections as it has threads.
fn kept(threads: usize) -> (Server, Vec<TcpStream>) {
    let timeouts = Timeouts { keep_alive: Duration::from_secs(60), ..Timeouts::default() };
    let server = Server::start(Kind::Blocking, Shape { threads, timeouts, ..Shape::default() });
    let mut clients: Vec<TcpStream> = (0..threads).map(|_| server.connect()).collect();
    for stream in &mut clients {
        assert!(get(stream, "/").ends_with("Hello, world!"));
    }
    (server, clients)
}

#[test]
fn a_thread_gives_up_an_idle_connection_for_a_client_that_waits() {
    for threads in [1, 4] {
        let (server, clients) = kept(threads);
        for _ in 0..5 {
            let mut newcomer = server.connect();
            assert!(get(&mut newcomer, "/").ends_with("Hello, world!"));
        }
        drop(clients);
        server.stop();
    }
}

#[test]
fn a_thread_gives_up_nobody_while_others_are_free_or_nobody_waits() {
    let (server, mut clients) = kept(3);
    std::thread::sleep(Duration::from_millis(400));
    clients.pop();
    wait_until("a free thread", || server.facts().connections == 2);
    for _ in 0..5 {
        let mut newcomer = server.connect();
        assert!(get(&mut newcomer, "/").ends_with("Hello, world!"));
        drop(newcomer);
        wait_until("a free thread", || server.facts().connections == 2);
    }
    for stream in &mut clients {
        assert!(get(stream, "/").ends_with("Hello, world!"));
    }
    server.stop();
}

#[test]
fn a_client_that_goes_on_asking_is_answered_until_an_answer_ends_its_connection() {
    let (server, mut clients) = kept(1);
    let mut newcomer = server.connect();
    newcomer.write_all(REQUEST).unwrap();
    wait_until("the newcomer", || server.somebody_waits());
    let mut busy = clients.remove(0);
    loop {
        let answer = get(&mut busy, "/");
        assert!(answer.ends_with("Hello, world!"));
        if answer.contains("Connection: close") {
            break;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
    assert!(read_answer(&mut newcomer).ends_with("Hello, world!"));
    server.stop();
}

#[test]
fn an_answer_tells_how_long_its_request_has_waited_if_that_is_wanted() {
    let shape = Shape { threads: 1, server_timing: true, ..Shape::default() };
    let server = Server::start(Kind::Reactor, shape);
    let mut slow = server.connect();
    slow.write_all(b"GET /gate HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    wait_until("the slow request", || server.board.facts()[0].busy == 1);
    let mut waiting = queue_one(&server);
    std::thread::sleep(Duration::from_millis(50));
    server.paths.gate.wait();
    let answer = read_answer(&mut waiting);
    let timing = answer.lines().find_map(|line| line.strip_prefix("Server-Timing: queue;dur=")).expect(&answer);
    let (queue, application) = timing.split_once(", app;dur=").expect(timing);
    assert!(queue.parse::<f64>().unwrap() >= 50.0, "{timing}");
    assert!(application.parse::<f64>().unwrap() < 5_000.0, "{timing}");
    drop(slow);
    server.stop();
}
