//! The shards with real sockets on loopback.

use std::{
    io::Read,
    net::{Shutdown, TcpListener, TcpStream},
    thread,
    time::Duration,
};

use bytes::Bytes;
use socket2::SockRef;
use stentor_ids::{Epoch, Lineage, NodeId, Slot};
use stentor_pace::{Time, WallTime};
use stentor_relay::Frame;
use stentor_telemetry::{Frames, Leave, Metrics, Protocol, Tier};
use tokio::time::Instant;

use super::*;
use crate::{
    count::Count,
    ogg::{Cut, PageTime},
};

const WAIT: Duration = Duration::from_secs(20);

struct Stage {
    fanout: Fanout,
    metrics: NodeMetrics,
    listener: TcpListener,
    room: RoomId,
    count: Count,
}

/// How one test listener differs from the usual one.
#[derive(Default)]
struct Who {
    participant: Option<ParticipantId>,
    until: Option<Time>,
    page_ms: Option<u32>,
    raw: bool,
    /// A receive buffer so small that the socket soon takes nothing.
    deaf: bool,
    /// It breaks its shard.
    broken: bool,
}

impl Stage {
    fn new(shards: usize, patience: Duration) -> Self {
        let metrics = Metrics::new().for_node(&NodeId::new("edge").unwrap());
        let fanout = Fanout::start(shards, patience, &metrics).unwrap();
        let room = RoomId::new("demo").unwrap();
        fanout.open(&room);
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        Self { fanout, metrics, listener, room, count: Count::default() }
    }

    fn join(&self, who: Who) -> TcpStream {
        let client = TcpStream::connect(self.listener.local_addr().unwrap()).unwrap();
        client.set_read_timeout(Some(WAIT)).unwrap();
        let (server, _) = self.listener.accept().unwrap();
        server.set_nonblocking(true).unwrap();
        SockRef::from(&server).set_send_buffer_size(4096).unwrap();
        if who.deaf {
            SockRef::from(&client).set_recv_buffer_size(2048).unwrap();
        }
        let newcomer = Newcomer {
            wire: Wire::new(server, None),
            room: self.room.clone(),
            cut: Cut { page: PageTime::from_millis(who.page_ms.unwrap_or(100)).unwrap(), ..Cut::default() },
            framing: if who.raw { Framing::Raw } else { Framing::Chunked },
            head: if who.broken { Bytes::from_owner(Broken) } else { Bytes::from_static(b"HEAD\r\n\r\n") },
            participant: who.participant,
            until: who.until,
            since: stentor_clock::now(),
            held: [self.count.hold(), self.count.hold()],
        };
        self.fanout.join(newcomer).unwrap();
        client
    }

    fn play(&self, slots: std::ops::Range<u64>) {
        for slot in slots {
            let frame = Frame {
                epoch: Epoch(1),
                lineage: Lineage(1),
                slot: Slot(slot),
                opus: vec![slot as u8; 80].into(),
                captured: WallTime::default(),
            };
            self.fanout.play(&self.room, &Output::Play(frame));
        }
        // What waits is bounded, and a test plays faster than a room.
        eventually("the shards have read it", || self.track().is_read());
    }

    fn track(&self) -> Arc<Track> {
        self.fanout.track(&self.room).unwrap()
    }

    fn left(&self, leave: Leave) -> u64 {
        self.metrics.leaves(leave).get()
    }

    fn listeners(&self) -> i64 {
        self.metrics.listeners(Protocol::Ogg).get()
    }
}

fn eventually(what: &str, mut holds: impl FnMut() -> bool) {
    let start = Instant::now();
    while !holds() {
        assert!(start.elapsed() < WAIT, "{what} did not come true within {WAIT:?}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Everything until the connection ends.
fn read_all(mut client: TcpStream) -> Vec<u8> {
    let mut all = Vec::new();
    client.read_to_end(&mut all).unwrap();
    all
}

/// The body of a chunked answer that came to its end, or `None` if it was cut off.
fn body(answer: &[u8]) -> Option<Vec<u8>> {
    let mut rest = answer.strip_prefix(b"HEAD\r\n\r\n").expect("the head comes first");
    let mut body = Vec::new();
    loop {
        let line = rest.windows(2).position(|two| two == b"\r\n")?;
        let size = usize::from_str_radix(std::str::from_utf8(&rest[..line]).ok()?, 16).ok()?;
        rest = &rest[line + 2..];
        body.extend_from_slice(rest.get(..size)?);
        rest = rest[size..].strip_prefix(b"\r\n")?;
        if size == 0 {
            assert!(rest.is_empty(), "bytes after the last chunk");
            return Some(body);
        }
    }
}

/// Flags, granule position in slots and number of each page.
fn pages(body: &[u8]) -> Vec<(u8, u64, u32)> {
    let (mut rest, mut pages) = (body, Vec::new());
    while !rest.is_empty() {
        assert!(rest.starts_with(b"OggS\0"), "no page where one should begin");
        let granule = u64::from_le_bytes(rest[6..14].try_into().unwrap());
        let sequence = u32::from_le_bytes(rest[18..22].try_into().unwrap());
        pages.push((rest[5], granule / 960, sequence));
        let segments = usize::from(rest[26]);
        let length: usize = rest[27..27 + segments].iter().map(|lacing| usize::from(*lacing)).sum();
        rest = &rest[27 + segments + length..];
    }
    pages
}

#[test]
fn two_hundred_listeners_on_two_shards_get_identical_streams() {
    let stage = Stage::new(2, WAIT);
    let clients: Vec<_> = (0..200).map(|_| stage.join(Who::default())).collect();
    eventually("everyone is seated", || stage.listeners() == 200);
    stage.play(7..203);
    stage.fanout.close(&stage.room, Close::Ended);
    let bodies: Vec<_> = clients.into_iter().map(|client| body(&read_all(client)).unwrap()).collect();
    assert!(bodies.iter().all(|body| *body == bodies[0]));
    let pages = pages(&bodies[0]);
    let slots: Vec<_> = pages[2..pages.len() - 1].iter().map(|page| page.1).collect();
    assert_eq!(slots, (10..=200).step_by(5).chain([203]).collect::<Vec<_>>());
    assert!(pages.iter().map(|page| page.2).eq(0..pages.len() as u32));
    assert_eq!((pages[0].0, pages[1].0, pages[pages.len() - 1].0), (2, 0, 4));
    eventually("all are gone", || (stage.left(Leave::Ended), stage.listeners()) == (200, 0));
    eventually("and count no more", || stage.count.get() == 0);
    assert_eq!(stage.metrics.frames(Tier::Edge, Frames::Out).get() / 200, 196);
}

#[test]
fn a_listener_that_never_reads_is_skipped_then_dropped_and_others_miss_nothing() {
    let stage = Stage::new(1, Duration::from_millis(700));
    let mute = stage.join(Who { deaf: true, page_ms: Some(20), ..Who::default() });
    let readers: Vec<_> = (0..20)
        .map(|_| stage.join(Who { page_ms: Some(20), ..Who::default() }))
        .map(|client| thread::spawn(move || body(&read_all(client)).unwrap()))
        .collect();
    eventually("everyone is seated", || stage.listeners() == 21);
    let mut slot = 0;
    eventually("the mute listener is dropped", || {
        // Eight times real time: readers on a busy machine keep up with that.
        stage.play(slot..slot + 2);
        slot += 2;
        stage.left(Leave::Slow) == 1
    });
    stage.fanout.close(&stage.room, Close::Ended);
    for reader in readers {
        let pages = pages(&reader.join().unwrap());
        let slots = pages[2..pages.len() - 1].iter().map(|page| page.1);
        assert!(slots.eq(1..=slot), "a reader missed a page");
    }
    eventually("the readers are gone", || stage.left(Leave::Ended) == 20);
    drop(mute);
}

#[test]
fn a_slow_listener_is_skipped_to_the_boundary_of_a_page() {
    let stage = Stage::new(1, WAIT);
    let mut slow = stage.join(Who { deaf: true, page_ms: Some(20), ..Who::default() });
    eventually("it is seated", || stage.listeners() == 1);
    let skipped = stage.metrics.frames(Tier::Edge, Frames::Skipped);
    let (mut slot, mut answer) = (0, Vec::new());
    slow.set_read_timeout(Some(Duration::from_millis(20))).unwrap();
    eventually("it is skipped", || {
        stage.play(slot..slot + 50);
        slot += 50;
        // It takes a little, so that there is something to skip to.
        let mut part = [0; 4096];
        if slot > 2000
            && let Ok(read) = slow.read(&mut part)
        {
            answer.extend_from_slice(&part[..read]);
        }
        skipped.get() > 0
    });
    stage.fanout.close(&stage.room, Close::Ended);
    slow.set_read_timeout(Some(WAIT)).unwrap();
    slow.read_to_end(&mut answer).unwrap();
    let pages = pages(&body(&answer).unwrap());
    let slots: Vec<_> = pages[2..pages.len() - 1].iter().map(|page| page.1).collect();
    assert!(slots.is_sorted() && slots.windows(2).any(|two| two[1] > two[0] + 1), "nothing was skipped");
    assert_eq!(slots.last(), Some(&slot));
    assert!(pages.iter().map(|page| page.2).eq(0..pages.len() as u32));
}

#[test]
fn a_newcomer_starts_at_the_newest_finished_page_however_long_pages_are() {
    let stage = Stage::new(1, WAIT);
    stage.play(0..1234);
    for (page_ms, first) in [(20, 1234), (100, 1230), (1000, 1200)] {
        let mut client = stage.join(Who { page_ms: Some(page_ms), raw: true, ..Who::default() });
        let mut start = Vec::new();
        while start.windows(4).filter(|four| four == b"OggS").count() < 3 {
            let mut part = [0; 8192];
            let read = client.read(&mut part).unwrap();
            start.extend_from_slice(&part[..read]);
        }
        let audio = start.windows(4).rposition(|four| four == b"OggS").unwrap();
        assert_eq!(u64::from_le_bytes(start[audio + 6..audio + 14].try_into().unwrap()) / 960, first);
    }
}

#[test]
fn a_hang_up_is_noticed_though_nothing_is_played() {
    let stage = Stage::new(1, WAIT);
    let [gone, half, stays] = [0; 3].map(|_| stage.join(Who::default()));
    eventually("they are seated", || stage.listeners() == 3);
    drop(gone);
    half.shutdown(Shutdown::Write).unwrap();
    eventually("two have gone", || (stage.left(Leave::Left), stage.listeners()) == (2, 1));
    eventually("and count no more", || stage.count.get() == 2);
    drop(stays);
}

#[test]
fn a_banned_participant_and_an_ended_ticket_bring_only_their_own_streams_to_an_end() {
    let stage = Stage::new(1, WAIT);
    let [ann, bob] = ["ann", "bob"].map(|id| Some(ParticipantId::new(id).unwrap()));
    let banned = stage.join(Who { participant: ann.clone(), ..Who::default() });
    let expired =
        stage.join(Who { until: Some(stentor_clock::now() + Duration::from_millis(300)), ..Who::default() });
    let stays = stage.join(Who { participant: bob, ..Who::default() });
    eventually("they are seated", || stage.listeners() == 3);
    stage.play(0..10);
    stage.fanout.cut(&stage.room, &ann.unwrap());
    for ended in [banned, expired] {
        assert_eq!(pages(&body(&read_all(ended)).unwrap()).last().unwrap().0, 4);
    }
    eventually("both are gone", || (stage.left(Leave::Refused), stage.listeners()) == (2, 1));
    drop(stays);
}

#[test]
fn a_lost_room_is_cut_and_a_room_that_left_is_an_empty_stream() {
    let stage = Stage::new(1, WAIT);
    let client = stage.join(Who::default());
    eventually("it is seated", || stage.listeners() == 1);
    stage.play(0..10);
    stage.fanout.close(&stage.room, Close::Lost);
    assert_eq!(body(&read_all(client)), None);
    let late = body(&read_all(stage.join(Who::default()))).unwrap();
    assert_eq!(pages(&late).iter().map(|page| page.0).collect::<Vec<_>>(), [2, 0, 4]);
}

#[test]
fn http_1_0_gets_the_bare_stream() {
    let stage = Stage::new(1, WAIT);
    let client = stage.join(Who { raw: true, ..Who::default() });
    eventually("it is seated", || stage.listeners() == 1);
    stage.play(0..10);
    stage.fanout.close(&stage.room, Close::Ended);
    let answer = read_all(client);
    assert_eq!(pages(answer.strip_prefix(b"HEAD\r\n\r\n").unwrap()).len(), 5);
}

#[test]
fn dropping_the_engine_cuts_its_connections() {
    let stage = Stage::new(1, WAIT);
    let client = stage.join(Who::default());
    eventually("it is seated", || stage.listeners() == 1);
    let Stage { fanout, metrics, .. } = stage;
    drop(fanout);
    assert_eq!(body(&read_all(client)), None);
    assert_eq!(metrics.listeners(Protocol::Ogg).get(), 0);
}

#[test]
fn a_shard_is_in_a_room_from_its_first_listener_to_its_last() {
    let stage = Stage::new(2, WAIT);
    stage.play(0..100);
    assert_eq!(stage.track().shards(), 0, "nobody listens");
    let first = stage.join(Who::default());
    eventually("it is seated", || stage.listeners() == 1);
    assert_eq!(stage.track().shards(), 1);
    let second = stage.join(Who::default());
    eventually("it is seated", || stage.listeners() == 2);
    assert_eq!(stage.track().shards(), 2);
    stage.play(100..110);
    drop(first);
    eventually("one shard has left", || stage.track().shards() == 1);
    stage.play(110..120);
    let third = [stage.join(Who::default()), stage.join(Who::default())];
    eventually("they are seated", || stage.listeners() == 3);
    stage.play(120..130);
    stage.fanout.close(&stage.room, Close::Ended);
    for (client, slots) in third.into_iter().map(|client| (client, 120..=130)).chain([(second, 100..=130)]) {
        let pages = pages(&body(&read_all(client)).unwrap());
        let heard = pages[2..pages.len() - 1].iter().map(|page| page.1);
        assert!(heard.eq(slots.step_by(5)), "{pages:?}");
    }
}

/// Bytes that break the shard which lets them go.
struct Broken;

impl AsRef<[u8]> for Broken {
    fn as_ref(&self) -> &[u8] {
        b"HEAD\r\n\r\n"
    }
}

impl Drop for Broken {
    fn drop(&mut self) {
        let shard = thread::current().name().is_some_and(|name| name.starts_with("shard-"));
        assert!(!shard, "a shard breaks, as this test wants it");
    }
}

#[test]
fn a_shard_that_breaks_is_told_and_newcomers_go_to_the_others() {
    let stage = Stage::new(2, WAIT);
    let [lost, stays] = [0; 2].map(|_| stage.join(Who::default()));
    eventually("they are seated", || stage.listeners() == 2);
    let broken = stage.fanout.broken();
    assert!(!broken.is_cancelled());
    drop(stage.join(Who { broken: true, ..Who::default() }));
    eventually("it is told", || broken.is_cancelled());
    assert_eq!(body(&read_all(lost)), None);
    let late = [0; 4].map(|_| stage.join(Who::default()));
    eventually("they are seated", || stage.listeners() == 5);
    stage.play(0..10);
    stage.fanout.close(&stage.room, Close::Ended);
    for client in late.into_iter().chain([stays]) {
        assert_eq!(pages(&body(&read_all(client)).unwrap()).len(), 5);
    }
}

#[test]
fn shards_that_are_told_to_stop_are_not_broken() {
    let stage = Stage::new(2, WAIT);
    stage.fanout.stop();
    assert!(!stage.fanout.broken().is_cancelled());
}
