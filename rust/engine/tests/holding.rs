//! Budgets of what is held for slow clients, and what becomes of threads that wait for readers, over real sockets.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use engine::drive::Bounds;
use serving::{Kind, Server, Shape, both, get, read_answer, wait_until};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

fn serving(kind: Kind, threads: usize, bounds: Bounds) -> Server {
    Server::start(kind, Shape { threads, bounds, ..Shape::default() })
}

/// As `serving`, under event; its clients stand for many, so nobody is remembered for what was broken off.
fn forgetting(threads: usize, bounds: Bounds) -> Server {
    Server::start(Kind::Reactor, Shape { threads, bounds, trusted: &["127.0.0.0/8"], ..Shape::default() })
}

/// Asks for `path` with a small window, and reads nothing.
fn ask(server: &Server, path: &str) -> TcpStream {
    let mut stream = server.connect();
    rustix::net::sockopt::set_socket_recv_buffer_size(&stream, 64 * 1024).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    stream
}

/// As `ask`, from an address that no other client here has.
fn ask_from_elsewhere(server: &Server, path: &str) -> TcpStream {
    use rustix::net::{AddressFamily, SocketType, bind, connect, socket};
    let socket = socket(AddressFamily::INET, SocketType::STREAM, None).unwrap();
    rustix::net::sockopt::set_socket_recv_buffer_size(&socket, 64 * 1024).unwrap();
    bind(&socket, &SocketAddr::from(([127, 0, 0, 2], 0))).unwrap();
    connect(&socket, &server.address).unwrap();
    let mut stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(serving::PATIENCE)).unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    stream
}

fn read_to_the_end(mut stream: TcpStream, length: usize) {
    let answer = read_answer(&mut stream);
    assert!(answer.len() > length, "{} of {length}", answer.len());
}

/// Begins a POST of `length` bytes, and sends all but the last one.
fn begin_body(server: &Server, length: usize) -> TcpStream {
    let mut stream = server.connect();
    let head = format!("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).unwrap();
    stream.write_all(&vec![b'b'; length - 1]).unwrap();
    stream
}

#[test]
fn without_room_an_answer_waits_for_its_reader_and_is_whole_when_nobody_needs_the_thread() {
    both(|kind| {
        let server = serving(kind, 2, Bounds { memory: 10 * KIB, spool: 100 * KIB, server_spool: u64::MAX });
        let reader = ask(&server, "/big/20000000");
        wait_until("an answer that is held", || server.facts().held_memory > 0);
        read_to_the_end(reader, 20_000_000);
        assert_eq!(server.facts().broken_off, 0);
        wait_until("nothing held", || server.facts().held_memory == 0 && server.facts().spooled == 0);
        server.stop();
    });
}

#[test]
fn still_readers_are_broken_off_as_soon_as_somebody_needs_their_threads() {
    // Room for the answers of none of them.
    let server = forgetting(2, Bounds { memory: 0, spool: 200 * KIB, server_spool: u64::MAX });
    let still: Vec<TcpStream> = (0..20).map(|_| ask(&server, "/endless")).collect();
    wait_until("threads that wait for readers", || server.facts().busy == 2);
    for _ in 0..20 {
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
    }
    let facts = server.facts();
    assert!(facts.broken_off >= 18, "{}", facts.broken_off);
    assert!(facts.spooled <= 200 * KIB, "{}", facts.spooled);
    // What threads hold beyond the budget is a piece for each.
    assert!(facts.held_memory < MIB, "{}", facts.held_memory);
    drop(still);
    wait_until("nothing held", || server.facts().held_memory == 0 && server.facts().spooled == 0);
    server.stop();
}

/// A server with one thread and no more room for answers, who has that room, and whether clients from elsewhere are trusted.
/// Of those, three answers have been broken off.
fn without_room(trusted: &'static [&'static str]) -> (Server, TcpStream) {
    let bounds = Bounds { memory: 0, spool: 16 * MIB, server_spool: u64::MAX };
    let server = Server::start(Kind::Reactor, Shape { threads: 1, bounds, trusted, ..Shape::default() });
    let holder = ask(&server, "/big/4000000");
    wait_until("an answer in a file", || server.facts().spooled > 2 * MIB && server.facts().busy == 0);
    for number in 1..=3 {
        let still = ask_from_elsewhere(&server, "/big/3000000");
        wait_until("a thread that waits for its reader", || server.facts().held_memory > 2 * MIB);
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        assert_eq!(server.facts().broken_off, number);
        drop(still);
        wait_until("its end", || server.facts().held_memory == 0);
    }
    (server, holder)
}

#[test]
fn an_address_whose_answers_were_broken_off_stays_outside_as_long_as_there_is_no_room() {
    let (server, holder) = without_room(&[]);
    for (number, path) in (1..).zip(["/", "/big/3000000", "/endless"]) {
        let refusal = read_answer(&mut ask_from_elsewhere(&server, path));
        assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("\r\nRetry-After: "), "{refusal}");
        assert!(refusal.contains("\r\nConnection: close\r\n"), "{refusal}");
        assert_eq!(server.facts().turned_away, number);
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
    }
    assert_eq!(server.facts().broken_off, 3);
    read_to_the_end(holder, 4_000_000);
    wait_until("room", || server.facts().spooled == 0);
    read_to_the_end(ask_from_elsewhere(&server, "/big/3000000"), 3_000_000);
    assert_eq!((server.facts().turned_away, server.facts().broken_off), (3, 3));
    server.stop();
}

#[test]
fn nobody_who_stands_for_many_stays_outside() {
    let (server, holder) = without_room(&["127.0.0.2/32"]);
    assert!(read_answer(&mut ask_from_elsewhere(&server, "/")).ends_with("Hello, world!"));
    drop(holder);
    server.stop();
}

#[test]
fn a_reader_that_keeps_pace_is_kept_and_one_that_does_not_makes_way() {
    let server = forgetting(2, Bounds { memory: 0, spool: 0, server_spool: 0 });
    let mut steady = ask(&server, "/endless");
    let (taken, over) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicBool::new(false)));
    let reading = {
        let (taken, over) = (Arc::clone(&taken), Arc::clone(&over));
        thread::spawn(move || {
            let mut buffer = vec![0; 16 * 1024];
            while !over.load(SeqCst) {
                taken.fetch_add(steady.read(&mut buffer).unwrap() as u64, SeqCst);
            }
        })
    };
    wait_until("a reader that reads", || taken.load(SeqCst) > MIB);
    for _ in 0..3 {
        let still = ask(&server, "/endless");
        wait_until("two threads that wait", || server.facts().busy == 2);
        assert!(get(&mut server.connect(), "/").ends_with("Hello, world!"));
        drop(still);
        let so_far = taken.load(SeqCst);
        wait_until("a reader that goes on", || taken.load(SeqCst) > so_far + MIB);
    }
    over.store(true, SeqCst);
    reading.join().unwrap();
    server.stop();
}

#[test]
fn answers_for_which_there_is_no_thread_are_held_within_memory_file_and_reserve() {
    let server = serving(Kind::Reactor, 2, Bounds { memory: 50 * KIB, spool: 12 * MIB, server_spool: u64::MAX });
    // They fit into no socket, and all of them have been made before anybody reads.
    let readers: Vec<TcpStream> = (0..10).map(|_| ask(&server, "/big/500000")).collect();
    wait_until("ten answers made", || server.facts().requests == 10);
    let facts = server.facts();
    assert!(facts.spooled <= 3 * MIB && facts.spooled > 2 * MIB, "{}", facts.spooled);
    for reader in readers {
        read_to_the_end(reader, 500_000);
    }
    assert_eq!(server.facts().broken_off, 0);
    wait_until("nothing held", || server.facts().held_memory == 0 && server.facts().spooled == 0);
    server.stop();
}

#[test]
fn a_body_for_which_there_is_no_room_now_may_come_again_later() {
    both(|kind| {
        let server = serving(kind, 4, Bounds { memory: 0, spool: 300_000, server_spool: u64::MAX });
        let mut first = begin_body(&server, 200_000);
        wait_until("a body in a file", || server.facts().spooled > 150_000);
        let mut second = begin_body(&server, 200_000);
        let refusal = read_answer(&mut second);
        assert!(refusal.starts_with("HTTP/1.1 503 ") && refusal.contains("\r\nRetry-After: "), "{refusal}");
        first.write_all(b"!").unwrap();
        assert!(read_answer(&mut first).ends_with("b!"));
        wait_until("an empty file", || server.facts().spooled == 0);
        let mut third = begin_body(&server, 200_000);
        third.write_all(b"!").unwrap();
        assert!(read_answer(&mut third).ends_with("b!"));
        let refusal = read_answer(&mut begin_body(&server, 300_002));
        assert!(refusal.starts_with("HTTP/1.1 507 ") && !refusal.contains("\r\nRetry-After: "), "{refusal}");
        drop((first, third));
        wait_until("nothing held", || server.facts().held_memory == 0 && server.facts().spooled == 0);
        server.stop();
    });
}

#[test]
fn clients_that_leave_in_the_middle_leave_nothing_behind() {
    both(|kind| {
        let server = serving(kind, 4, Bounds { memory: 100 * KIB, spool: 10 * MIB, server_spool: 20 * MIB });
        for _ in 0..10 {
            let body = begin_body(&server, 150_000);
            let answer = ask(&server, "/big/3000000");
            wait_until("something held", || server.facts().held_memory + server.facts().spooled > 0);
            drop((body, answer));
        }
        wait_until("nothing held", || {
            let facts = server.facts();
            facts.connections == 0 && facts.held_memory == 0 && facts.spooled == 0 && facts.spool_share == 0
        });
        server.stop();
    });
}
