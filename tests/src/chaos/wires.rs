//! The wires between the nodes of a cluster, and from each node to the directory: userspace TCP proxies that can be told,
//! for each pair and direction, what becomes of the bytes.
//!
//! A node is known by the loopback address that its links leave from and listen at, so that a proxy in front of a node sees
//! who calls. A rule is about the bytes that go *from* one place *to* another, over whichever connection: a cut or a hole
//! one way is felt by calls of both sides.
//!
//! What goes wrong below TCP is seen above it as time. A lost packet is sent again, so *loss* is a stall of the one connection
//! that it happened to, a retransmission time-out long. Packets that overtake each other are put in order again, so *reordering*
//! is only seen between connections, each of which has a delay of its own. A *black hole* lets a connection stand and brings
//! nothing; when it is mended, what was sent meanwhile arrives, as TCP sees to. In two respects a hole here is kinder than
//! a real one: the other direction goes on although nothing acknowledges it, and a port that refuses does so through it.
//!
//! Where nobody listens, callers are refused here too: that tells a process that is gone from one that says nothing. The first
//! of them is let in and hung up on, as it takes a call to find out.
//!
//! Invariant: a connection holds at most [`QUEUE`] pieces of [`PIECE`] bytes; beyond it the sender has to wait.

use std::{
    collections::{HashMap, VecDeque},
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr},
    sync::{Arc, Mutex},
    time::Duration,
};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use rustix::net::{Shutdown, listen, shutdown};
use stentor_programs::free_port;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{
        TcpListener, TcpStream,
        tcp::{OwnedReadHalf, OwnedWriteHalf},
    },
    sync::watch,
    task::JoinSet,
    time::{Instant, sleep, sleep_until},
};

/// How the directory is called among the places.
pub const DIRECTORY: &str = "directory";

/// Bytes that are taken from a sender at once.
const PIECE: usize = 16 * 1024;
/// Pieces of a connection that are on their way; with delays of a second this is some 30 pieces a second more than audio
/// needs.
const QUEUE: usize = 128;
/// How long a lost piece holds its connection up: the least retransmission time-out of Linux (RFC 6298 has a second).
const RETRANSMISSION: Duration = Duration::from_millis(200);

/// What becomes of the bytes from one place to another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Rule {
    /// They arrive.
    #[default]
    Pass,
    /// Connections between the two are closed, and new ones as soon as they are made.
    Cut,
    /// Nothing arrives until the rule is another one.
    Hole,
    /// They arrive late, by `delay` and up to `jitter` more; of a hundred pieces, `loss` are lost and sent again.
    Rough {
        /// Least delay.
        delay: Duration,
        /// What is drawn on top of it, for each piece.
        jitter: Duration,
        /// Per cent of pieces that are sent again.
        loss: u8,
    },
}

type Pair = (Arc<str>, Arc<str>);
type Rules = HashMap<Pair, Rule>;

/// How often it is looked whether somebody listens again.
const LISTENS: Duration = Duration::from_millis(20);
/// Callers that wait to be let in.
const BACKLOG: i32 = 1024;

/// All wires of a cluster. Dropping them closes every connection.
#[derive(Debug)]
pub struct Wires {
    rules: watch::Sender<Rules>,
    places: Arc<Mutex<HashMap<IpAddr, Arc<str>>>>,
    seed: u64,
    proxies: JoinSet<()>,
}

impl Wires {
    /// Wires over which everything passes; jitter and loss are drawn from the seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self { rules: watch::Sender::default(), places: Arc::default(), seed, proxies: JoinSet::new() }
    }

    /// The address of a node's own: its links listen there and leave from there.
    pub fn address(&self, node: &str) -> IpAddr {
        let mut places = self.places.lock().expect("no holder panics");
        let known = places.iter().find(|(_, name)| &***name == node).map(|(address, _)| *address);
        known.unwrap_or_else(|| {
            let number = u8::try_from(places.len() + 1).expect("a test has few nodes");
            let address = IpAddr::V4(Ipv4Addr::new(127, 0, 1, number));
            places.insert(address, node.into());
            address
        })
    }

    /// A wire that leads to a node's links from every other node; gives the address that the others are to be told.
    ///
    /// # Errors
    /// When no port is free.
    pub fn to_node(&mut self, node: &str, listens: SocketAddr) -> io::Result<SocketAddr> {
        self.lay(None, node, listens)
    }

    /// A wire that leads from one node to a member of the directory; gives the address that the node is to be told.
    ///
    /// # Errors
    /// When no port is free.
    pub fn to_directory(&mut self, node: &str, member: SocketAddr) -> io::Result<SocketAddr> {
        self.lay(Some(node), DIRECTORY, member)
    }

    fn lay(&mut self, from: Option<&str>, to: &str, target: SocketAddr) -> io::Result<SocketAddr> {
        // By its number: one that the system chose is given up when it is shut down.
        let listener = std::net::TcpListener::bind((Ipv4Addr::LOCALHOST, free_port()?))?;
        listener.set_nonblocking(true)?;
        let address = listener.local_addr()?;
        let listener = TcpListener::from_std(listener)?;
        let proxy = Proxy {
            from: from.map(Arc::from),
            to: to.into(),
            target,
            rules: self.rules.subscribe(),
            places: Arc::clone(&self.places),
            random: StdRng::seed_from_u64(self.seed ^ u64::from(address.port())),
        };
        self.proxies.spawn(proxy.run(listener));
        Ok(address)
    }

    /// From now on, for the bytes from one place to another.
    pub fn set(&self, from: &str, to: &str, rule: Rule) {
        self.rules.send_modify(|rules| {
            rules.insert((from.into(), to.into()), rule);
        });
    }

    /// The same for those both ways between two places.
    pub fn set_between(&self, one: &str, other: &str, rule: Rule) {
        self.set(one, other, rule);
        self.set(other, one, rule);
    }

    /// Everything passes again.
    pub fn mend(&self) {
        self.rules.send_modify(HashMap::clear);
    }
}

struct Proxy {
    /// Who calls; none to tell by the address that a call comes from.
    from: Option<Arc<str>>,
    to: Arc<str>,
    target: SocketAddr,
    rules: watch::Receiver<Rules>,
    places: Arc<Mutex<HashMap<IpAddr, Arc<str>>>>,
    random: StdRng,
}

impl Proxy {
    async fn run(mut self, mut listener: TcpListener) {
        let mut connections = JoinSet::new();
        loop {
            tokio::select! {
                accepted = listener.accept() => match accepted {
                    Ok((caller, address)) => {
                        let from = self.caller(address.ip());
                        connections.spawn(carry(caller, self.target, self.flow(&from, true), self.flow(&from, false)));
                    }
                    // The caller hung up before it was accepted, or descriptors are short.
                    Err(_) => sleep(Duration::from_millis(10)).await,
                },
                Some(Ok(End::Refused)) = connections.join_next() => {
                    listener = refuse(listener, self.target).await.expect("a port can be listened at again");
                }
            }
        }
    }

    fn caller(&self, address: IpAddr) -> Arc<str> {
        let named = || self.places.lock().expect("no holder panics").get(&address).cloned();
        self.from.clone().or_else(named).unwrap_or_else(|| "elsewhere".into())
    }

    fn flow(&mut self, caller: &Arc<str>, forth: bool) -> Flow {
        let (forth_pair, back_pair) = ((caller.clone(), self.to.clone()), (self.to.clone(), caller.clone()));
        let (pair, reverse) = if forth { (forth_pair, back_pair) } else { (back_pair, forth_pair) };
        Flow { rules: self.rules.clone(), pair, reverse, random: StdRng::from_rng(&mut self.random) }
    }
}

/// One direction of a connection.
struct Flow {
    rules: watch::Receiver<Rules>,
    pair: Pair,
    reverse: Pair,
    random: StdRng,
}

struct Piece {
    due: Instant,
    bytes: Vec<u8>,
    written: usize,
}

impl Flow {
    fn rule(&mut self) -> Rule {
        let rules = self.rules.borrow_and_update();
        let of = |pair| rules.get(pair).copied().unwrap_or_default();
        if of(&self.reverse) == Rule::Cut { Rule::Cut } else { of(&self.pair) }
    }

    fn delay(&mut self, rule: Rule) -> Duration {
        let Rule::Rough { delay, jitter, loss } = rule else { return Duration::ZERO };
        let again = if self.random.random_range(0..100) < loss { RETRANSMISSION } else { Duration::ZERO };
        delay + jitter.mul_f64(self.random.random()) + again
    }

    /// Carries bytes until either side hangs up or the rule says to.
    async fn pump(mut self, mut source: OwnedReadHalf, mut sink: OwnedWriteHalf) {
        let mut way: VecDeque<Piece> = VecDeque::new();
        let mut buffer = vec![0; PIECE];
        let (mut rule, mut ended) = (self.rule(), false);
        loop {
            let passes = match rule {
                Rule::Cut => return,
                Rule::Hole => false,
                Rule::Pass | Rule::Rough { .. } => true,
            };
            if ended && way.is_empty() {
                return;
            }
            tokio::select! {
                changed = self.rules.changed() => match changed {
                    Ok(()) => rule = self.rule(),
                    Err(_) => return,
                },
                written = write(way.front(), &mut sink), if passes && !way.is_empty() => {
                    let Ok(written) = written else { return };
                    let done = way.front_mut().is_some_and(|piece| {
                        piece.written += written;
                        piece.written == piece.bytes.len()
                    });
                    if done {
                        way.pop_front();
                    }
                }
                read = source.read(&mut buffer), if passes && !ended && way.len() < QUEUE => match read {
                    Ok(0) => ended = true,
                    Ok(count) => {
                        // One connection's pieces do not overtake each other.
                        let due = Instant::now() + self.delay(rule);
                        let due = way.back().map_or(due, |last| last.due.max(due));
                        way.push_back(Piece { due, bytes: buffer[..count].to_vec(), written: 0 });
                    }
                    Err(_) => return,
                },
            }
        }
    }
}

/// Writes what the sink takes of a piece, once it is due. Loses nothing when it is dropped.
async fn write(piece: Option<&Piece>, sink: &mut OwnedWriteHalf) -> io::Result<usize> {
    let Some(piece) = piece else { return Ok(0) };
    if piece.due > Instant::now() {
        sleep_until(piece.due).await;
    }
    sink.write(&piece.bytes[piece.written..]).await
}

/// Lets nobody in until somebody listens at the target.
async fn refuse(listener: TcpListener, target: SocketAddr) -> io::Result<TcpListener> {
    // It keeps its port, and every caller is refused. The runtime must not see it meanwhile: it takes what is shut down for
    // closed for good.
    let listener = listener.into_std()?;
    shutdown(&listener, Shutdown::Both)?;
    while TcpStream::connect(target).await.is_err() {
        sleep(LISTENS).await;
    }
    listen(&listener, BACKLOG)?;
    TcpListener::from_std(listener)
}

/// How a connection ended.
enum End {
    /// Nobody listens at the target.
    Refused,
    /// In another way.
    Over,
}

async fn carry(caller: TcpStream, target: SocketAddr, mut forth: Flow, back: Flow) -> End {
    if forth.rule() == Rule::Cut {
        return End::Over;
    }
    let server = match TcpStream::connect(target).await {
        Ok(server) => server,
        Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => return End::Refused,
        Err(_) => return End::Over,
    };
    let _ = (caller.set_nodelay(true), server.set_nodelay(true));
    let (from_caller, to_caller) = caller.into_split();
    let (from_server, to_server) = server.into_split();
    tokio::join!(forth.pump(from_caller, to_server), back.pump(from_server, to_caller));
    End::Over
}

#[cfg(test)]
mod tests {
    use tokio::time::timeout;

    use super::*;
    use crate::process::eventually;

    const LATEST: Duration = Duration::from_secs(10);
    const SOON: Duration = Duration::from_millis(300);

    /// A wire from `a` to a server `b` that answers each byte with the same.
    async fn wire() -> (Wires, TcpStream) {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        tokio::spawn(async move {
            while let Ok((stream, _)) = server.accept().await {
                let (mut from, mut to) = stream.into_split();
                tokio::spawn(async move { tokio::io::copy(&mut from, &mut to).await });
            }
        });
        let mut wires = Wires::new(7);
        let address = wires.lay(Some("a"), "b", target).unwrap();
        (wires, TcpStream::connect(address).await.unwrap())
    }

    async fn said(stream: &mut TcpStream, byte: u8) -> Option<u8> {
        stream.write_all(&[byte]).await.ok()?;
        heard(stream).await
    }

    async fn heard(stream: &mut TcpStream) -> Option<u8> {
        timeout(SOON, stream.read_u8()).await.ok()?.ok()
    }

    #[tokio::test]
    async fn what_a_hole_held_arrives_when_it_is_mended() {
        let (wires, mut stream) = wire().await;
        assert_eq!(said(&mut stream, 1).await, Some(1));
        for pair in [("a", "b"), ("b", "a")] {
            wires.set(pair.0, pair.1, Rule::Hole);
            assert_eq!(said(&mut stream, 2).await, None);
            wires.mend();
            assert_eq!(heard(&mut stream).await, Some(2));
        }
        wires.set("a", "c", Rule::Hole);
        assert_eq!(said(&mut stream, 3).await, Some(3));
    }

    #[tokio::test]
    async fn a_cut_closes_what_stands_and_what_comes() {
        let (wires, mut stream) = wire().await;
        assert_eq!(said(&mut stream, 1).await, Some(1));
        wires.set("b", "a", Rule::Cut);
        assert!(timeout(SOON, stream.read_u8()).await.unwrap().is_err());
        let mut again = TcpStream::connect(stream.peer_addr().unwrap()).await.unwrap();
        assert!(timeout(SOON, again.read_u8()).await.unwrap().is_err());
        wires.mend();
        let mut again = TcpStream::connect(stream.peer_addr().unwrap()).await.unwrap();
        assert_eq!(said(&mut again, 1).await, Some(1));
    }

    #[tokio::test]
    async fn callers_are_refused_while_nobody_listens() {
        let server = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let target = server.local_addr().unwrap();
        let mut wires = Wires::new(7);
        let address = wires.lay(Some("a"), "b", target).unwrap();
        drop(server);
        let refuses = || async {
            let error = TcpStream::connect(address).await.err()?;
            (error.kind() == io::ErrorKind::ConnectionRefused).then_some(())
        };
        eventually("callers to be refused", LATEST, refuses).await.unwrap();
        let server = TcpListener::bind(target).await.unwrap();
        let again = || async { TcpStream::connect(address).await.ok() };
        let mut stream = eventually("callers to be let in", LATEST, again).await.unwrap();
        stream.write_all(&[5]).await.unwrap();
        let heard = async {
            loop {
                let (mut caller, _) = server.accept().await.unwrap();
                // Who looks whether somebody listens hangs up at once.
                if let Ok(byte) = caller.read_u8().await {
                    return byte;
                }
            }
        };
        assert_eq!(timeout(LATEST, heard).await.unwrap(), 5);
    }

    #[tokio::test]
    async fn rough_wires_are_late_and_lose_nothing() {
        let (wires, stream) = wire().await;
        let (delay, jitter) = (Duration::from_millis(20), Duration::from_millis(20));
        wires.set("a", "b", Rule::Rough { delay, jitter, loss: 10 });
        let (mut from, mut to) = stream.into_split();
        let start = Instant::now();
        let writing = tokio::spawn(async move {
            for byte in 0..50 {
                to.write_all(&[byte]).await.unwrap();
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
            to
        });
        let mut all = [0; 50];
        timeout(Duration::from_secs(10), from.read_exact(&mut all)).await.unwrap().unwrap();
        assert!(start.elapsed() >= delay);
        assert_eq!(all.to_vec(), (0..50).collect::<Vec<u8>>());
        writing.await.unwrap();
    }

    #[tokio::test]
    async fn callers_are_told_apart_by_their_address() {
        let mut wires = Wires::new(1);
        let server = TcpListener::bind((wires.address("b"), 0)).await.unwrap();
        let address = wires.to_node("b", server.local_addr().unwrap()).unwrap();
        wires.set("a", "b", Rule::Cut);
        for (name, passes) in [("a", false), ("c", true)] {
            let socket = tokio::net::TcpSocket::new_v4().unwrap();
            socket.bind((wires.address(name), 0).into()).unwrap();
            let mut stream = socket.connect(address).await.unwrap();
            assert_eq!(timeout(SOON, stream.read_u8()).await.is_err(), passes, "{name}");
        }
    }
}
