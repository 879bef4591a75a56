//! A room that runs at a node, as it stands there: its tenure, its business, and the stream by which it hears its other origin.
//! What is done with it is in `tenure`, `errands`, `books` and `stream`.

use std::collections::BTreeSet;

use stentor_ownership::{Driver, Standing, Tenure};
use stentor_relay::origin::State;
use stentor_room::Ledger;

use super::{
    directory::{self, Book},
    message::Ask,
    net::NodeIx,
};

/// How long a stream may bring nothing, in milliseconds.
const SILENT_MS: u64 = 1_500;

/// What the simulation hands in and gets back.
#[derive(Debug)]
pub(super) struct Sim;

impl Driver for Sim {
    type Right = directory::Owner;
    type Place = directory::Mirror;
    type Record = Book;
    type Asker = Asker;
}

/// Who waits for the end of a transfer.
#[derive(Debug, Clone, Copy)]
pub(super) enum Asker {
    /// The drain of this node.
    Drain,
    /// Somebody who moves the room, by the number of the command.
    Operator(u64),
    /// The owner that offers its room.
    Owner { node: NodeIx, ask: Ask },
}

/// A room that a node owns or mirrors.
pub(super) struct Running {
    pub(super) number: u64,
    pub(super) tenure: Tenure<Sim>,
    /// What links and calls know of it.
    pub(super) published: Standing<Sim>,
    /// Of a room whose audio is simulated.
    pub(super) ledger: Option<Ledger<u64>>,
    /// How its other origin is heard.
    pub(super) stream: Stream,
    /// It has left this node's list.
    pub(super) left: bool,
    pub(super) tick_at: u64,
}

impl std::fmt::Debug for Running {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Running").field("number", &self.number).finish_non_exhaustive()
    }
}

/// How a room's other origin is heard.
#[derive(Debug, Default)]
pub(super) struct Stream {
    /// Whom it follows.
    pub(super) peer: Option<NodeIx>,
    /// The stream stands.
    pub(super) connected: bool,
    /// When something came by it last.
    pub(super) heard: u64,
    /// How the other one stands, as it says.
    pub(super) state: Option<State>,
    pub(super) retry_at: u64,
    /// Who follows this one.
    pub(super) followers: BTreeSet<NodeIx>,
    pub(super) beat_at: u64,
}

impl Stream {
    /// Whether this node is heard, and said that it could go on at once. Rooms without audio say nothing of that.
    pub(super) fn is_ready(&self, now: u64, peer: NodeIx, watched: bool) -> bool {
        let able = !watched || self.state.is_some_and(|state| state.ready || state.leads);
        self.peer == Some(peer) && self.connected && now - self.heard <= SILENT_MS && able
    }

    /// Another loop follows whom it is told to; who follows this one stays.
    pub(super) fn forget_peer(&mut self) {
        (self.peer, self.connected, self.state) = (None, false, None);
    }

    /// Whether there is something to do.
    pub(super) fn is_due(&self, now: u64) -> bool {
        self.beat_at <= now
            || self.is_silent(now)
            || (self.retry_at <= now && !self.connected && self.peer.is_some())
    }

    /// Whether it has brought nothing for too long.
    pub(super) const fn is_silent(&self, now: u64) -> bool {
        self.connected && now - self.heard > SILENT_MS
    }
}
