//! The fan-out engine: rooms' audio in, sockets out. A frame goes once to each shard that has a listener of the room; a
//! shard is one OS thread with a poll loop and its own sessions, which it walks in one loop without a task, a channel, a
//! lock or an allocation per listener and frame.
//!
//! A listener's socket is handed over after the request head and is the shard's from then on. What is the same for all
//! listeners is built once per (room, page time) and shard. A slow listener is skipped forward to a page boundary, then
//! dropped; it never slows another. A shard that ends by itself is told to the edge, which cannot go on without it.
//!
//! It knows Ogg pages and sockets, and nothing of tickets, gRPC or the cluster.

mod group;
mod inbox;
mod ring;
mod session;
mod shard;
#[cfg(test)]
mod tests;
mod track;
mod wire;

use std::{
    collections::HashMap,
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
use tokio_util::sync::CancellationToken;

pub(crate) use inbox::Close;
pub(crate) use session::{Framing, Newcomer};
pub(crate) use wire::Wire;

use shard::Shard;
use track::{Inbox, Track};

/// The shards of an edge. Dropping it stops them.
#[derive(Debug)]
pub(crate) struct Fanout {
    shards: Vec<Arc<Inbox>>,
    threads: Mutex<Vec<JoinHandle<()>>>,
    turn: AtomicUsize,
    tracks: Mutex<HashMap<RoomId, Arc<Track>>>,
    broken: CancellationToken,
}

impl Fanout {
    /// Starts `shards` threads (at least one). A listener that takes nothing for `patience` of what waits for it is dropped.
    pub(crate) fn start(shards: usize, patience: Duration, metrics: &NodeMetrics) -> io::Result<Self> {
        let mut fanout = Self {
            shards: Vec::new(),
            threads: Mutex::default(),
            turn: AtomicUsize::new(0),
            tracks: Mutex::default(),
            broken: CancellationToken::new(),
        };
        for number in 0..shards.max(1) {
            let (shard, inbox) = Shard::new(number, patience, metrics, fanout.broken.clone())?;
            fanout.shards.push(inbox);
            let thread = thread::Builder::new().name(format!("shard-{number}")).spawn(move || shard.run())?;
            fanout.threads.get_mut().push(thread);
        }
        Ok(fanout)
    }

    /// Cancelled when a shard has ended that was not told to.
    pub(crate) fn broken(&self) -> CancellationToken {
        self.broken.clone()
    }

    /// A room begins on this edge; newcomers to rooms that have not are sent away.
    pub(crate) fn open(&self, room: &RoomId) {
        self.tracks.lock().insert(room.clone(), Arc::new(Track::new(room.clone())));
    }

    /// What is to be played next in a room, in order.
    pub(crate) fn play(&self, room: &RoomId, output: &Output) {
        if let Some(track) = self.track(room) {
            track.play(output.clone(), &self.shards);
        }
    }

    /// Ends the streams of one participant.
    pub(crate) fn cut(&self, room: &RoomId, participant: &ParticipantId) {
        if let Some(track) = self.track(room) {
            track.cut(participant, &self.shards);
        }
    }

    /// A room leaves this edge.
    pub(crate) fn close(&self, room: &RoomId, close: Close) {
        let track = self.tracks.lock().remove(room);
        if let Some(track) = track {
            track.close(close, &self.shards);
        }
    }

    /// Hands a listener over to one of the shards, in turn. A newcomer comes back if no shard takes one.
    pub(crate) fn join(&self, newcomer: Newcomer) -> Result<(), Box<Newcomer>> {
        let track = self.track(&newcomer.room);
        let track = track.unwrap_or_else(|| Arc::new(Track::over(newcomer.room.clone())));
        let (turn, mut newcomer) = (self.turn.fetch_add(1, Relaxed), Box::new(newcomer));
        for further in 0..self.shards.len() {
            let shard = turn.wrapping_add(further) % self.shards.len();
            match track.hand(newcomer, shard, &self.shards[shard]) {
                Ok(()) => return Ok(()),
                Err(back) => newcomer = back,
            }
        }
        Err(newcomer)
    }

    fn track(&self, room: &RoomId) -> Option<Arc<Track>> {
        self.tracks.lock().get(room).cloned()
    }

    /// Stops the shards and cuts all of their connections; waits for their threads, which takes no longer than a walk.
    pub(crate) fn stop(&self) {
        for inbox in &self.shards {
            inbox.stop();
        }
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
