//! The fan-out engine: rooms' audio in, sockets out. A frame is sent to each shard once; a shard is one OS thread with a
//! poll loop and its own sessions, which it walks in one loop without a task, a channel, a lock or an allocation per
//! listener and frame.
//!
//! A listener's socket is handed over after the request head and is the shard's from then on. What is the same for all
//! listeners is built once per (room, page time) and shard. A slow listener is skipped forward to a page boundary, then
//! dropped; it never slows another.
//!
//! It knows Ogg pages and sockets, and nothing of tickets, gRPC or the cluster.

mod group;
mod inbox;
mod session;
mod shard;
#[cfg(test)]
mod tests;
mod wire;

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering::Relaxed},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use parking_lot::Mutex;
use stentor_ids::{ParticipantId, RoomId};
use stentor_relay::Output;
use stentor_telemetry::NodeMetrics;

pub(crate) use session::{Framing, Newcomer};
pub(crate) use wire::Wire;

use inbox::{Inbox, Note};
use shard::Shard;

/// How a room leaves the shards.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Close {
    /// It has ended: every listener's stream is brought to its end.
    Ended,
    /// This edge has it no more: connections are cut, so that no player takes the stream for complete.
    Lost,
}

/// The shards of an edge. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Fanout {
    shards: Vec<Arc<Inbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turn: AtomicUsize,
}

impl Fanout {
    /// Starts `shards` threads (at least one). A listener that takes nothing for `patience` of what waits for it is dropped.
    pub(crate) fn start(shards: usize, patience: Duration, metrics: &NodeMetrics) -> io::Result<Self> {
        let mut fanout = Self { shards: Vec::new(), threads: Mutex::default(), turn: AtomicUsize::new(0) };
        for number in 0..shards.max(1) {
            let (shard, inbox) = Shard::new(patience, metrics)?;
            fanout.shards.push(inbox);
            let thread = thread::Builder::new().name(format!("shard-{number}")).spawn(move || shard.run())?;
            fanout.threads.get_mut().push(thread);
        }
        Ok(fanout)
    }

    /// A room begins on this edge; newcomers to rooms that have not are sent away.
    pub(crate) fn open(&self, room: &RoomId) {
        self.tell(|| Note::Open(room.clone()));
    }

    /// What is to be played next in a room, in order.
    pub(crate) fn play(&self, room: &RoomId, output: &Output) {
        self.tell(|| Note::Play(room.clone(), output.clone()));
    }

    /// Ends the streams of one participant.
    pub(crate) fn cut(&self, room: &RoomId, participant: &ParticipantId) {
        self.tell(|| Note::Cut(room.clone(), participant.clone()));
    }

    /// A room leaves this edge.
    pub(crate) fn close(&self, room: &RoomId, close: Close) {
        self.tell(|| Note::Close(room.clone(), close));
    }

    /// Hands a listener over to one of the shards, in turn. A newcomer comes back if that shard's queue is full, or the
    /// shard has stopped.
    pub(crate) fn join(&self, newcomer: Newcomer) -> Result<(), Box<Newcomer>> {
        let turn = self.turn.fetch_add(1, Relaxed) % self.shards.len();
        self.shards[turn].join(newcomer)
    }

    fn tell(&self, note: impl Fn() -> Note) {
        self.shards.iter().for_each(|inbox| inbox.tell(note()));
    }

    /// Stops the shards and cuts all of their connections; waits for their threads, which takes no longer than a walk.
    pub(crate) fn stop(&self) {
        self.shards.iter().for_each(|inbox| inbox.stop());
        for thread in self.threads.lock().drain(..) {
            // One that panicked has said so.
            drop(thread.join());
        }
    }
}

impl Drop for Fanout {
    fn drop(&mut self) {
        self.stop();
    }
}
