//! One shard: a thread, a poll loop, and the listeners that were handed to it.
//!
//! Invariants: nothing but this thread touches its sessions; no wait but in the poll; a session that goes is out of every
//! walk before the next one; a room is here while it has listeners here, and up to a sweep longer.

use std::{
    collections::HashMap,
    io::{self, ErrorKind},
    sync::Arc,
    thread,
    time::Duration,
};

use mio::{Events, Poll, Token, Waker, event::Event};
use slab::Slab;
use stentor_ids::{ParticipantId, RoomId, SLOTS_PER_SECOND};
use stentor_pace::Time;
use stentor_relay::Output;
use stentor_telemetry::{Counter, Frames, Latency, Leave, NodeMetrics, Protocol, Tier};
use tokio_util::sync::CancellationToken;

use super::{
    group::Group,
    inbox::Close,
    ring::Ring,
    session::{Fate, Newcomer, Session, Tally},
    track::{Inbox, Mail, Note, Track},
};
use crate::ogg::Cut;

/// How often listeners are looked at for whom nothing came: ended tickets, sockets that take nothing, farewells that
/// wait. A ticket's end is kept as exactly as this.
const SWEEP: Duration = Duration::from_millis(500);
/// Hang-ups taken in one turn; more wait for the next.
const MAX_EVENTS: usize = 1024;
/// Slots that a new group is given of what was played, so that the first listener of a page time finds a finished page
/// however long pages are.
const RECENT_SLOTS: usize = SLOTS_PER_SECOND as usize * 2;
/// The token of the waker; sessions' tokens are far below.
const WAKE: Token = Token(usize::MAX);
/// Bits of a token that are a session's place in its group: far more than a process can have sockets.
const SESSION_BITS: u32 = 32;

/// One shard, until it runs.
pub(super) struct Shard {
    number: usize,
    poll: Poll,
    inbox: Arc<Inbox>,
    rooms: HashMap<RoomId, Room>,
    groups: Slab<Group>,
    outputs: Vec<Output>,
    scratch: Vec<u8>,
    /// How long a listener may take nothing of what waits for it.
    patience: Duration,
    meters: Meters,
    /// To be cancelled if it ends without having been told to.
    broken: CancellationToken,
}

/// A room that the shard takes part in.
struct Room {
    track: Arc<Track>,
    /// The number of the next output to play.
    next: u64,
    /// Listeners that came since the shard takes part.
    seated: u64,
    /// By number.
    groups: Vec<usize>,
}

impl Shard {
    /// A shard and the way to it.
    pub(super) fn new(
        number: usize,
        patience: Duration,
        metrics: &NodeMetrics,
        broken: CancellationToken,
    ) -> io::Result<(Self, Arc<Inbox>)> {
        let poll = Poll::new()?;
        let inbox = Arc::new(Inbox::new(Waker::new(poll.registry(), WAKE)?));
        let shard = Self {
            number,
            poll,
            inbox: inbox.clone(),
            rooms: HashMap::new(),
            groups: Slab::new(),
            outputs: Vec::new(),
            scratch: Vec::new(),
            patience,
            meters: Meters::new(metrics),
            broken,
        };
        Ok((shard, inbox))
    }

    /// Serves until it is told to stop.
    pub(super) fn run(mut self) {
        let (mut events, mut mail) = (Events::with_capacity(MAX_EVENTS), Mail::default());
        let mut sweep_at = stentor_clock::now() + SWEEP;
        while !mail.stop {
            if let Err(error) = self.poll.poll(&mut events, Some(sweep_at.since(stentor_clock::now())))
                && error.kind() != ErrorKind::Interrupted
            {
                tracing::error!(%error, shard = self.number, "a shard cannot poll");
                break;
            }
            events.iter().filter(|event| event.token() != WAKE).for_each(|event| self.hear(event));
            self.inbox.take(&mut mail);
            mail.notes.drain(..).for_each(|note| self.heed(note));
            let now = stentor_clock::now();
            if sweep_at <= now {
                self.sweep(now);
                sweep_at = now + SWEEP;
            }
        }
    }

    /// A socket has something to say: most likely that its listener has gone.
    fn hear(&mut self, event: &Event) {
        let (group, key) = place(event.token());
        let sessions = self.groups.get_mut(group).map(|group| &mut group.sessions);
        let Some(sessions) = sessions.filter(|sessions| sessions.contains(key)) else { return };
        if !sessions[key].wire().heard(event) {
            sessions.remove(key);
            self.meters.left(Leave::Left);
        }
    }

    fn heed(&mut self, note: Note) {
        match note {
            Note::Seat(track, newcomer) => self.seat(&track, *newcomer),
            Note::Play(track) => self.play(&track),
            Note::Cut(track, participant) => self.cut(&track, &participant),
            Note::Close(track, close) => {
                if self.room(&track).is_some()
                    && let Some(room) = self.rooms.remove(track.room())
                {
                    // The groups go at a sweep, when their last listener has.
                    room.groups.into_iter().for_each(|group| self.close(group, close));
                }
            }
        }
    }

    /// The room of a track, if the shard takes part in it, and not in a later one of that name.
    fn room(&mut self, track: &Arc<Track>) -> Option<&mut Room> {
        self.rooms.get_mut(track.room()).filter(|room| Arc::ptr_eq(&room.track, track))
    }

    fn play(&mut self, track: &Arc<Track>) {
        let Self { number, rooms, groups, outputs, meters, scratch, .. } = self;
        let room = rooms.get_mut(track.room()).filter(|room| Arc::ptr_eq(&room.track, track));
        let Some(room) = room else { return };
        meters.skipped.inc_by(track.read(*number, &mut room.next, outputs));
        for output in outputs.drain(..) {
            let started = stentor_clock::now();
            for &group in &room.groups {
                let group = &mut groups[group];
                if group.play(&output) {
                    meters.walk(group, scratch, |_, _| ());
                }
            }
            meters.fan_out.observe(stentor_clock::now().since(started));
        }
    }

    fn cut(&mut self, track: &Arc<Track>, participant: &ParticipantId) {
        let Some(room) = self.room(track) else { return };
        let cut = room.groups.clone();
        let Self { groups, meters, scratch, .. } = self;
        for group in cut {
            meters.walk(&mut groups[group], scratch, |session, ring| {
                if session.is(participant) {
                    session.cut(ring, Leave::Refused);
                }
            });
        }
    }

    fn close(&mut self, group: usize, close: Close) {
        let Self { groups, meters, scratch, .. } = self;
        let group = &mut groups[group];
        match close {
            Close::Ended => {
                group.flush();
                meters.walk(group, scratch, |session, _| session.end(Leave::Ended));
            }
            Close::Lost => group.walk(|_, _| Err(Leave::Closed), |leave| meters.left(leave)),
        }
    }

    fn seat(&mut self, track: &Arc<Track>, newcomer: Newcomer) {
        // A room that left while the newcomer was on its way has ended, for all that this listener will see.
        let over = !self.takes_part(track);
        let number = if over {
            self.groups.insert(Group::new(newcomer.room.clone(), newcomer.cut))
        } else {
            self.group_for(track, newcomer.cut)
        };
        let Self { poll, groups, meters, scratch, .. } = self;
        let group = &mut groups[number];
        let mut session = Session::new(newcomer, group.ring(), stentor_clock::now());
        if over {
            session.end(Leave::Ended);
        }
        meters.seated();
        let token = token(number, group.sessions.vacant_key());
        let registered = session.wire().register(poll.registry(), token).map_err(|_| Leave::Closed);
        match registered.and_then(|()| meters.advance(&mut session, group, scratch)) {
            Ok(()) => drop(group.sessions.insert(session)),
            Err(leave) => meters.left(leave),
        }
    }

    /// Takes part in a room for one more listener, if it has not left.
    fn takes_part(&mut self, track: &Arc<Track>) -> bool {
        if !self.rooms.contains_key(track.room())
            && let Some(next) = track.begin()
        {
            let room = Room { track: track.clone(), next, seated: 0, groups: Vec::new() };
            self.rooms.insert(track.room().clone(), room);
        }
        let room = self.room(track);
        room.map(|room| room.seated += 1).is_some()
    }

    /// The group of a room and its cut; a new one knows what was played last.
    fn group_for(&mut self, track: &Arc<Track>, cut: Cut) -> usize {
        let Self { rooms, groups, .. } = self;
        let mut room = rooms.get_mut(track.room());
        let found = room.as_ref().and_then(|room| room.groups.iter().find(|at| groups[**at].cut == cut));
        if let Some(&found) = found {
            return found;
        }
        let mut group = Group::new(track.room().clone(), cut);
        if let Some(room) = &mut room {
            room.groups.push(groups.vacant_key());
            for output in track.before(room.next, RECENT_SLOTS) {
                group.play(&output);
            }
        }
        groups.insert(group)
    }

    fn sweep(&mut self, now: Time) {
        let Self { number: shard, rooms, groups, meters, scratch, patience, .. } = self;
        for (_, group) in groups.iter_mut() {
            meters.walk(group, scratch, |session, ring| {
                if session.is_over(now) {
                    session.cut(ring, Leave::Refused);
                }
            });
            let stuck = |session: &Session| session.waits(now) > *patience;
            let fate =
                |session: &mut Session, _: &Ring| if stuck(session) { Err(Leave::Slow) } else { Ok(()) };
            group.walk(fate, |leave| meters.left(leave));
        }
        groups.retain(|number, group| {
            let used = !group.sessions.is_empty();
            if !used && let Some(room) = rooms.get_mut(&group.room) {
                room.groups.retain(|one| *one != number);
            }
            used
        });
        rooms.retain(|_, room| !room.groups.is_empty() || !room.track.leave(*shard, room.seated));
    }
}

impl Drop for Shard {
    /// Whoever comes from now on goes to another shard, and is not left waiting. One that was not told to end takes the
    /// edge along: a part of its listeners is gone, and each would come back to fewer shards.
    fn drop(&mut self) {
        let told = self.inbox.stop();
        for room in self.rooms.values() {
            room.track.leave(self.number, u64::MAX);
        }
        for (_, group) in &mut self.groups {
            group.walk(|_, _| Err(Leave::Closed), |leave| self.meters.left(leave));
        }
        if !told {
            let panicked = thread::panicking();
            tracing::error!(shard = self.number, panicked, "a shard has ended; its listeners are cut");
            self.broken.cancel();
        }
    }
}

/// Where a session is: its group and its place in it.
fn token(group: usize, session: usize) -> Token {
    Token(group << SESSION_BITS | session)
}

fn place(token: Token) -> (usize, usize) {
    (token.0 >> SESSION_BITS, token.0 & ((1 << SESSION_BITS) - 1))
}

/// The metrics of a shard, and the walks that are counted in them.
struct Meters {
    metrics: NodeMetrics,
    out: Counter,
    skipped: Counter,
    bytes: Counter,
    fan_out: Latency,
}

impl Meters {
    fn new(metrics: &NodeMetrics) -> Self {
        Self {
            out: metrics.frames(Tier::Edge, Frames::Out).clone(),
            skipped: metrics.frames(Tier::Edge, Frames::Skipped).clone(),
            bytes: metrics.egress_bytes(Protocol::Ogg).clone(),
            fan_out: metrics.fan_out().clone(),
            metrics: metrics.clone(),
        }
    }

    /// Writes to every listener of a group what it lacks, after `first`.
    fn walk(&self, group: &mut Group, scratch: &mut Vec<u8>, mut first: impl FnMut(&mut Session, &Ring)) {
        let (now, cut, mut tally) = (stentor_clock::now(), group.cut, Tally::default());
        let visit = |session: &mut Session, ring: &Ring| {
            first(session, ring);
            session.advance(ring, now, scratch, &mut tally)
        };
        group.walk(visit, |leave| self.left(leave));
        self.count(&tally, cut);
    }

    /// Writes to one listener what it lacks.
    fn advance(&self, session: &mut Session, group: &Group, scratch: &mut Vec<u8>) -> Fate {
        let mut tally = Tally::default();
        let fate = session.advance(group.ring(), stentor_clock::now(), scratch, &mut tally);
        self.count(&tally, group.cut);
        fate
    }

    fn count(&self, tally: &Tally, cut: Cut) {
        self.bytes.inc_by(tally.bytes);
        self.out.inc_by(tally.slots);
        self.skipped.inc_by(tally.skipped * cut.page.slots());
        for wait in &tally.joined {
            self.metrics.joins(Protocol::Ogg).inc();
            self.metrics.join().observe(*wait);
        }
    }

    fn seated(&self) {
        self.metrics.listeners(Protocol::Ogg).inc();
    }

    fn left(&self, leave: Leave) {
        self.metrics.listeners(Protocol::Ogg).dec();
        self.metrics.leaves(leave).inc();
    }
}
