//! A server made of a driver and a gateway of Rust, on a real socket: what tests of the drivers share.
#![allow(dead_code, unreachable_pub, reason = "each test crate uses its part of it")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Barrier, Mutex, mpsc};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use engine::addresses::{Addresses, ClientBounds, Ledger, Network, Tables};
use engine::connection::{BodyLength, Protocol};
use engine::drive::{
    Batch, BlockingDriver, Bounds, Budget, Context, Deadline, Exchange, Gateway, Interrupted, Orders, Overdue,
    QueueBounds, ReactorDriver, Readers, Spool, Supervisor, Wear, Worn,
};
use engine::log::{ErrorLog, Level};
use engine::net::{Attention, Interest, Listener, Listeners, wait_one};
use engine::scoreboard::{ChildFacts, Holdings, OwnRow, Scoreboard};
use engine::timeouts::Timeouts;

pub const PATIENCE: Duration = Duration::from_secs(10);

/// Answers by path: `/`, `/echo`, `/sleep/MS`, `/sleep/MS/BYTES`, `/big/BYTES`, `/gate` (waits until the test opens it),
/// `/endless` (answers until the client is gone), `/blocks/BYTES/...` (tells at the gate that it has begun,
/// waits there again, then answers in so many blocks).
pub struct Paths {
    /// Held by a thread for as long as it serves a batch, where one at a time can.
    interpreter: Option<Mutex<()>>,
    pub gate: Arc<Barrier>,
    pub inside: AtomicUsize,
    pub most_inside: AtomicUsize,
    /// What the gateway was told of late requests: path, what the client got, what the thread waits for.
    pub late: Mutex<Vec<String>>,
    /// Exchanges that were late in the end.
    pub settled: AtomicUsize,
    /// How often the process would have ended, and how often a late thread came back while it did.
    pub ended: AtomicUsize,
    pub came_back: AtomicUsize,
}

impl Gateway for Paths {
    fn serve(&self, batch: &mut dyn Batch) {
        let _attached = self.interpreter.as_ref().map(|interpreter| interpreter.lock().unwrap());
        while let Some(mut exchange) = batch.next() {
            let inside = self.inside.fetch_add(1, SeqCst) + 1;
            self.most_inside.fetch_max(inside, SeqCst);
            let path = String::from_utf8_lossy(exchange.head().path()).into_owned();
            let parts: Vec<&str> = path.trim_start_matches('/').split('/').collect();
            match parts.as_slice() {
                ["echo"] => {
                    let mut body = Vec::new();
                    exchange.take_body().read_to_end(&mut body).unwrap();
                    answer(&mut exchange, &body);
                }
                ["sleep", ms] => {
                    thread::sleep(Duration::from_millis(ms.parse().unwrap()));
                    answer(&mut exchange, b"slept");
                }
                ["sleep", ms, bytes] => {
                    thread::sleep(Duration::from_millis(ms.parse().unwrap()));
                    answer(&mut exchange, &vec![b's'; bytes.parse().unwrap()]);
                }
                ["big", bytes] => answer(&mut exchange, &vec![b'x'; bytes.parse().unwrap()]),
                ["endless"] => {
                    exchange.respond(b"200 OK").unwrap().finish(BodyLength::Unknown).unwrap();
                    while exchange.flush().is_ok() {
                        exchange.queue(&vec![b'e'; 50_000]);
                    }
                }
                ["gate"] => {
                    self.gate.wait();
                    answer(&mut exchange, b"through");
                }
                ["blocks", blocks @ ..] => {
                    let blocks: Vec<usize> = blocks.iter().map(|bytes| bytes.parse().unwrap()).collect();
                    let length = blocks.iter().sum::<usize>() as u64;
                    exchange.respond(b"200 OK").unwrap().finish(BodyLength::Known(length)).unwrap();
                    self.gate.wait();
                    self.gate.wait();
                    for bytes in blocks {
                        exchange.queue(&vec![b'b'; bytes]);
                    }
                    exchange.finish();
                }
                ["nothing"] => {}
                ["away", ms] => {
                    if exchange.away(|_| sleep(ms)).1.is_ok() {
                        answer(&mut exchange, b"back");
                    }
                }
                ["away-gate"] => {
                    exchange.away(|_| self.gate.wait()).1.unwrap_err();
                    answer_in_vain(&mut exchange);
                }
                ["extended", ms] => {
                    assert!(exchange.seat().extend(PATIENCE) && !exchange.seat().extend(Duration::from_secs(90_000)));
                    if exchange.away(|_| sleep(ms)).1.is_ok() {
                        answer(&mut exchange, b"back");
                    }
                }
                ["stream", times @ ..] => {
                    exchange.respond(b"200 OK").unwrap().finish(BodyLength::Unknown).unwrap();
                    exchange.queue(b"begun");
                    exchange.flush().unwrap();
                    if times.iter().all(|ms| {
                        let in_time = exchange.away(|_| sleep(ms)).1.is_ok();
                        exchange.queue(b"more");
                        in_time && exchange.flush().is_ok()
                    }) {
                        exchange.finish();
                    }
                }
                ["close", ms] => {
                    answer(&mut exchange, b"complete");
                    let ((), _late) = exchange.away(|_| sleep(ms));
                }
                _ => answer(&mut exchange, b"Hello, world!"),
            }
            self.inside.fetch_sub(1, SeqCst);
            self.settled.fetch_add(usize::from(exchange.settle()), SeqCst);
        }
    }

    fn overdue(&self, overdue: &Overdue) {
        let _attached = self.interpreter.as_ref().map(|interpreter| interpreter.lock().unwrap());
        let path = String::from_utf8_lossy(&overdue.path);
        self.late.lock().unwrap().push(format!("{path} {:?} {:?}", overdue.got, overdue.waits));
    }

    fn end_process(&self) {
        let settled = self.settled.load(SeqCst);
        thread::sleep(Duration::from_millis(400));
        self.came_back.fetch_add(usize::from(self.settled.load(SeqCst) != settled), SeqCst);
        self.ended.fetch_add(1, SeqCst);
    }
}

/// What the application makes when it is too late.
fn answer_in_vain(exchange: &mut Exchange<'_>) {
    assert!(exchange.respond(b"200 OK").is_err());
    exchange.queue(&vec![b'v'; 100_000]);
    exchange.flush().ok();
    exchange.finish();
}

fn sleep(ms: &str) {
    thread::sleep(Duration::from_millis(ms.parse().unwrap()));
}

fn answer(exchange: &mut Exchange<'_>, body: &[u8]) {
    let head = exchange.respond(b"200 OK").unwrap();
    head.finish(BodyLength::Known(body.len() as u64)).unwrap();
    exchange.queue(body);
    exchange.finish();
    if exchange.owes() {
        // A client that has gone ends this, too.
        let _ = exchange.flush();
    }
}

/// Hears on a pipe, as the only thread of a prefork child hears its parent: any byte means to retire.
struct OnWatch {
    heard: OwnedFd,
    driver: Arc<Driver>,
}

impl Supervisor for OnWatch {
    fn attend(&mut self, attention: Attention) -> Result<(), Interrupted> {
        if attention == Attention::Watched {
            rustix::io::read(&self.heard, &mut [0; 64]).unwrap();
            self.driver.retire(false);
        }
        Ok(())
    }
}

#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Kind {
    Blocking,
    Reactor,
}

pub enum Driver {
    Blocking(BlockingDriver),
    Reactor(ReactorDriver),
}

impl Driver {
    pub fn retire(&self, sweep: bool) {
        match self {
            Self::Blocking(driver) => driver.retire(sweep),
            Self::Reactor(driver) => driver.retire(sweep),
        }
    }

    pub fn part(&self) {
        match self {
            Self::Blocking(driver) => driver.part(),
            Self::Reactor(driver) => driver.part(),
        }
    }

    pub fn rest(&self) {
        match self {
            Self::Blocking(driver) => driver.rest(),
            Self::Reactor(driver) => driver.rest(),
        }
    }

    pub fn resume(&self) -> bool {
        match self {
            Self::Blocking(driver) => driver.resume(),
            Self::Reactor(driver) => driver.resume(),
        }
    }
}

fn bell_pipe() -> (OwnedFd, OwnedFd) {
    let (heard, bell) = rustix::pipe::pipe().unwrap();
    rustix::io::ioctl_fionbio(&heard, true).unwrap();
    (heard, bell)
}

/// How often it has rung since the last look.
pub fn rings(heard: &OwnedFd) -> usize {
    rustix::io::read(heard, &mut [0; 64]).unwrap_or(0)
}

pub struct Server {
    pub address: SocketAddr,
    /// It listens here as well.
    pub other_address: SocketAddr,
    pub driver: Arc<Driver>,
    pub board: Arc<Scoreboard>,
    pub paths: Arc<Paths>,
    pub threads: Vec<JoinHandle<()>>,
    /// Counts rings: worn, and too little spare.
    pub rung: OwnedFd,
    pub rung_for_spare: OwnedFd,
    /// Heard by the first thread of a blocking driver, and by no other.
    parent: OwnedFd,
    done: mpsc::Receiver<()>,
    listeners: [TcpListener; 2],
}

pub struct Shape {
    pub threads: usize,
    pub timeouts: Timeouts,
    pub response_limit: u64,
    pub bounds: Bounds,
    /// Only one thread at a time can serve, as under an interpreter's lock that a handler does not release.
    pub locked: bool,
    pub connections_per_child: u64,
    pub requests_per_child: u64,
    pub open_connections: usize,
    pub queue: QueueBounds,
    pub server_timing: bool,
    pub deadline: Deadline,
    /// None: the children of the other tests count nobody.
    pub per_address: Option<PerAddress>,
    pub trusted: &'static [&'static str],
}

/// Limits per address, and the tables in which the children of a server count.
#[derive(Clone)]
pub struct PerAddress {
    pub bounds: ClientBounds,
    pub tables: Arc<Tables>,
    pub row: usize,
}

impl PerAddress {
    pub fn new(connections: u32, requests: u32) -> Self {
        let bounds = ClientBounds { connections, requests, ipv6_prefix: 64 };
        Self { bounds, tables: Arc::new(Tables::new(2, 1000, None).unwrap()), row: 0 }
    }

    /// For another child of the same server.
    pub fn of_another_child(&self) -> Self {
        Self { row: self.row + 1, ..self.clone() }
    }
}

impl Default for Shape {
    fn default() -> Self {
        Self {
            threads: 2,
            timeouts: Timeouts::default(),
            response_limit: 1 << 30,
            bounds: Bounds::NONE,
            locked: false,
            connections_per_child: 0,
            requests_per_child: 0,
            open_connections: 1000,
            queue: QueueBounds { requests: 1000, time: Duration::from_secs(60) },
            server_timing: false,
            deadline: Deadline::default(),
            per_address: None,
            trusted: &[],
        }
    }
}

impl Server {
    pub fn start(kind: Kind, shape: Shape) -> Self {
        Self::start_on([(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap()), kind, shape)
    }

    /// Another child at the same sockets.
    pub fn beside(&self, kind: Kind, shape: Shape) -> Self {
        Self::start_on(self.listeners.each_ref().map(|listener| listener.try_clone().unwrap()), kind, shape)
    }

    fn start_on(listeners: [TcpListener; 2], kind: Kind, shape: Shape) -> Self {
        let [address, other_address] = listeners.each_ref().map(|listener| listener.local_addr().unwrap());
        // The second row is for tests in which there is somebody else.
        let board = Arc::new(Scoreboard::new(2, shape.threads).unwrap());
        board.claim(0, std::process::id(), 1);
        let [(rung, bell), (rung_for_spare, spare_bell)] = [bell_pipe(), bell_pipe()];
        let stderr: &'static OwnedFd = Box::leak(Box::new(std::io::stderr().as_fd().try_clone_to_owned().unwrap()));
        let addresses = addresses(&shape, &board);
        let context = Arc::new(Context {
            protocol: Arc::new(Protocol { timeouts: shape.timeouts, ..Protocol::default() }),
            spool: Spool {
                directory: std::env::temp_dir(),
                request_memory: 1 << 16,
                response_memory: 1 << 16,
                response_limit: shape.response_limit,
                budget: Arc::new(Budget::new(shape.bounds, Holdings::new(Arc::clone(&board), 0).unwrap())),
            },
            readers: Readers::default(),
            open_connections: shape.open_connections,
            queue: shape.queue,
            server_timing: shape.server_timing,
            addresses,
            error_log: ErrorLog::new(stderr.as_fd(), Level::Warning, "test".to_owned()),
            access_log: None,
            row: OwnRow::new(Arc::clone(&board), 0, Some(spare_bell)).unwrap(),
            orders: Orders::default(),
            deadline: shape.deadline,
            wear: Wear::new(shape.connections_per_child, shape.requests_per_child, Some(bell)),
        });
        let paths = Arc::new(Paths {
            interpreter: shape.locked.then(Mutex::default),
            gate: Arc::new(Barrier::new(2)),
            inside: AtomicUsize::new(0),
            most_inside: AtomicUsize::new(0),
            late: Mutex::default(),
            settled: AtomicUsize::new(0),
            ended: AtomicUsize::new(0),
            came_back: AtomicUsize::new(0),
        });
        let gateway: Arc<dyn Gateway> = Arc::<Paths>::clone(&paths);
        let borrowed = listeners.iter().map(|listener| Listener::duplicate(listener.as_fd()).unwrap());
        let borrowed = Listeners::new(borrowed.collect());
        let (driver, count) = match kind {
            Kind::Blocking => {
                let driver = BlockingDriver::new(gateway, borrowed, context, shape.threads).unwrap();
                (Driver::Blocking(driver), shape.threads)
            }
            Kind::Reactor => {
                let driver = ReactorDriver::new(gateway, borrowed, context, shape.threads, false).unwrap();
                (Driver::Reactor(driver), shape.threads + 1)
            }
        };
        let driver = Arc::new(driver);
        let (tell, done) = mpsc::channel();
        let (heard, parent) = bell_pipe();
        let threads = (0..count).map(|index| {
            let (driver, tell) = (Arc::clone(&driver), tell.clone());
            let mut supervisor = OnWatch { heard: heard.try_clone().unwrap(), driver: Arc::clone(&driver) };
            thread::spawn(move || {
                match &*driver {
                    Driver::Blocking(driver) => {
                        let watch = supervisor.heard.try_clone().unwrap();
                        let watch = (index == 0).then(|| watch.as_fd());
                        driver.run(index, watch, &mut supervisor).unwrap().unwrap();
                    }
                    Driver::Reactor(driver) => driver.run(index).unwrap(),
                }
                tell.send(()).unwrap();
            })
        });
        let threads = threads.collect();
        Self { address, other_address, driver, board, paths, threads, rung, rung_for_spare, parent, done, listeners }
    }

    pub fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        stream
    }

    pub fn retire(&self) {
        self.driver.retire(false);
    }

    pub fn retire_with_sweep(&self) {
        self.driver.retire(true);
    }

    /// As `retire`, said on the descriptor that the only thread of a child watches, and heard when it listens.
    pub fn say_retire(&self) {
        rustix::io::write(&self.parent, &[1]).unwrap();
    }

    pub fn worn(&self) -> Option<&'static str> {
        match &*self.driver {
            Driver::Blocking(driver) => driver.worn(),
            Driver::Reactor(driver) => driver.worn(),
        }
        .map(Worn::directive)
    }

    pub fn facts(&self) -> ChildFacts {
        self.board.facts().remove(0)
    }

    /// As if the parent had stopped listening altogether.
    pub fn shut_listener(&self) {
        for listener in &self.listeners {
            rustix::net::shutdown(listener, rustix::net::Shutdown::Both).unwrap();
        }
    }

    /// Whether a client waits in the kernel's queue.
    pub fn somebody_waits(&self) -> bool {
        let waits =
            |listener: &TcpListener| wait_one(listener.as_fd(), Interest::Receive, Some(Instant::now())).unwrap();
        self.listeners.iter().any(waits)
    }

    pub fn join(self) {
        for _ in &self.threads {
            self.done.recv_timeout(PATIENCE).expect("a thread did not leave");
        }
        for thread in self.threads {
            thread.join().unwrap();
        }
    }

    pub fn stop(self) {
        self.retire();
        assert_eq!(self.facts().state.word(), "draining");
        self.join();
    }
}

fn addresses(shape: &Shape, board: &Scoreboard) -> Addresses {
    let trusted = shape.trusted.iter().map(|text| Network::parse(text).unwrap()).collect();
    let limits = shape.per_address.as_ref();
    let bounds = limits.map(|limits| limits.bounds).unwrap_or_default();
    let ledger = limits.map(|limits| Ledger::new(Arc::clone(&limits.tables), limits.row, Vec::new()).unwrap());
    Addresses::new(trusted, bounds, ledger, Arc::clone(board.laggards()))
}

pub fn get(stream: &mut TcpStream, path: &str) -> String {
    stream.write_all(format!("GET {path} HTTP/1.1\r\nHost: x\r\n\r\n").as_bytes()).unwrap();
    read_answer(stream)
}

/// One answer with a Content-Length, head and body.
pub fn read_answer(stream: &mut TcpStream) -> String {
    let mut bytes = Vec::new();
    let mut byte = [0];
    while !bytes.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).unwrap();
        bytes.push(byte[0]);
    }
    let head = String::from_utf8(bytes).unwrap();
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: ")).unwrap().parse().unwrap();
    let mut body = vec![0; length];
    stream.read_exact(&mut body).unwrap();
    head + &String::from_utf8(body).unwrap()
}

pub fn both(test: impl Fn(Kind)) {
    for kind in [Kind::Blocking, Kind::Reactor] {
        test(kind);
    }
}

pub fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let until = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < until, "{what} did not come about");
        thread::yield_now();
    }
}
