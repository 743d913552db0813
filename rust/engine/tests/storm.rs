//! Words in any order, at any moment, while clients come and go: nobody goes without an answer, and the child leaves.

#![allow(missing_docs, clippy::unwrap_used, clippy::expect_used, reason = "tests stop at the first surprise")]

mod serving;

use std::io::Write;
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;
use std::time::Duration;

use engine::timeouts::Timeouts;
use serving::{PATIENCE, Server, Shape, both, read_answer, wait_until};

/// Small numbers that look random, the same in each run.
struct Dice(u64);

impl Dice {
    fn throw(&mut self, sides: u64) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % sides
    }
}

/// One connection with up to three requests, sent in one of the ways in which clients send. Every request that a client
/// may expect an answer to has to get one.
fn visit(addresses: [SocketAddr; 2], dice: &mut Dice) {
    let address = addresses[usize::try_from(dice.throw(2)).unwrap()];
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(PATIENCE)).unwrap();
    let path = ["/", "/sleep/1", "/sleep/0/300000", "/echo"][usize::try_from(dice.throw(4)).unwrap()];
    let request = format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n");
    let request = request.as_bytes();
    match dice.throw(6) {
        // Goes away with nothing sent, or in the middle of a head.
        0 => return,
        1 => return stream.write_all(&request[..9]).unwrap(),
        // Never reads what it has asked for.
        2 => return stream.write_all(request).unwrap(),
        3 => {
            let (begin, end) = request.split_at(7);
            stream.write_all(begin).unwrap();
            thread::sleep(Duration::from_micros(dice.throw(3000)));
            stream.write_all(end).unwrap();
        }
        4 => {
            stream.write_all(request).unwrap();
            stream.shutdown(Shutdown::Write).unwrap();
        }
        _ => stream.write_all(request).unwrap(),
    }
    assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
    // A client that keeps its connection and waits for another one would wait for itself.
    drop(stream);
    // Two requests at once on a fresh connection: the first is answered, and the second unless the first said close.
    if dice.throw(4) == 0 {
        let mut stream = TcpStream::connect(address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream.write_all(&[request, request].concat()).unwrap();
        if !read_answer(&mut stream).contains("Connection: close") {
            assert!(read_answer(&mut stream).starts_with("HTTP/1.1 200 "));
        }
    }
}

#[test]
fn whatever_a_child_is_told_nobody_goes_without_an_answer() {
    const ROUNDS: u64 = 30;
    let timeouts = || Timeouts { linger_silence: Duration::from_millis(20), ..Timeouts::default() };
    both(|kind| {
        for threads in [1, 3] {
            let shape = || Shape { threads, timeouts: timeouts(), open_connections: 6, ..Shape::default() };
            let steady = Server::start(kind, shape());
            let over = Arc::new(AtomicBool::new(false));
            let visits = Arc::new(AtomicU64::new(0));
            let clients: Vec<_> = (0..6)
                .map(|seed| {
                    let addresses = [steady.address, steady.other_address];
                    let (over, visits) = (Arc::clone(&over), Arc::clone(&visits));
                    thread::spawn(move || {
                        let mut dice = Dice(seed);
                        while !over.load(SeqCst) {
                            visit(addresses, &mut dice);
                            visits.fetch_add(1, SeqCst);
                        }
                    })
                })
                .collect();
            let mut dice = Dice(99);
            for _ in 0..ROUNDS {
                let swaying = steady.beside(kind, shape());
                for _ in 0..dice.throw(12) {
                    thread::sleep(Duration::from_micros(dice.throw(4000)));
                    match dice.throw(5) {
                        0 => swaying.driver.part(),
                        1 | 2 => swaying.driver.rest(),
                        _ => assert!(swaying.driver.resume()),
                    }
                }
                let sweep = dice.throw(2) == 0;
                swaying.driver.retire(sweep);
                if sweep {
                    // Clients that never stop coming would be swept for ever.
                    thread::sleep(Duration::from_micros(dice.throw(20_000)));
                    swaying.driver.retire(false);
                }
                assert!(!swaying.driver.resume());
                let board = Arc::clone(&swaying.board);
                swaying.join();
                let row = board.facts().remove(0);
                assert_eq!((row.connections, row.busy, row.queued), (0, 0, 0), "{kind:?}");
                assert!(row.stages.iter().all(|stage| *stage == "idle"), "{:?}", row.stages);
            }
            over.store(true, SeqCst);
            for client in clients {
                client.join().expect("a client has not got what it should");
            }
            let counts =
                || (steady.facts().connections, steady.facts().busy, steady.facts().queued, steady.facts().taken);
            wait_until("the end of all connections", || counts() == (0, 0, 0, 0));
            assert!(visits.load(SeqCst) > 100, "{visits:?}");
            steady.stop();
        }
    });
}
