//! A node as it stands: its process, its session with the directory, and the rooms that it runs, claims and offers. What it does
//! with them is in `control` and the files that this names.

use std::collections::BTreeMap;

use stentor_ids::NodeId;
use stentor_ownership::{Drain, Preemptions};

use super::{
    candidate::Candidacies,
    directory::{Lease, Revision, RoomIx},
    message::{Ask, Run},
    plan::{Roles, START},
    running::Running,
};

/// The schema of the newest records.
pub(super) const NEWER: u32 = 2;

/// One node.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) zone: &'static str,
    pub(super) roles: Roles,
    /// Which process this is.
    pub(super) life: u32,
    pub(super) up: bool,
    /// Its process ended and its machine did not: its port refuses connections.
    pub(super) refuses: bool,
    pub(super) paused_until: u64,
    /// The highest schema of records that its build reads.
    pub(super) schema: u32,
    /// Until when its clock bars it from taking rooms.
    pub(super) barred_until: u64,
    /// When a standstill ended that the process noticed.
    pub(super) stood: u64,
    pub(super) draining: bool,
    pub(super) lease: Lease,
    pub(super) renew_at: u64,
    /// How far it has read the directory, and how far it will have at its next turn.
    pub(super) view: Revision,
    pub(super) unread: Revision,
    pub(super) current: bool,
    /// By how much its view is late, in milliseconds, and until when.
    pub(super) lags: Option<(u64, u64)>,
    /// When it will notice that the directory is silent.
    pub(super) blind_at: Option<u64>,
    pub(super) next_turn: u64,
    pub(super) control: Control,
}

/// Someone is asked whether they run a room, and others whether they hear its owner.
#[derive(Debug)]
pub(super) struct Question {
    pub(super) ask: Ask,
    /// Answers that are still to come.
    pub(super) waits: usize,
    pub(super) runs: bool,
    pub(super) gone: bool,
    pub(super) heard_ms_ago: Option<u64>,
}

/// What a node does about rooms.
#[derive(Debug, Default)]
pub(super) struct Control {
    /// Rooms that it owns or mirrors.
    pub(super) rooms: BTreeMap<RoomIx, Running>,
    /// Rooms that have left it and have still something to do.
    pub(super) going: BTreeMap<Run, Running>,
    pub(super) candidacies: Candidacies,
    pub(super) questions: BTreeMap<u64, Question>,
    /// Of a node that leaves.
    pub(super) drain: Drain<RoomIx>,
    pub(super) preemptions: Preemptions,
    /// The session's own question, if one is open.
    pub(super) session: Option<u64>,
}

impl Node {
    /// One that has just started.
    pub(super) fn new(roles: Roles, zone: &'static str) -> Self {
        Self {
            id: NodeId::new("node").expect("it is a name"),
            zone,
            roles,
            life: 0,
            up: true,
            refuses: false,
            paused_until: 0,
            stood: 0,
            barred_until: 0,
            schema: NEWER,
            draining: false,
            lease: 0,
            renew_at: 0,
            view: 0,
            unread: 0,
            current: false,
            lags: None,
            blind_at: None,
            next_turn: START,
            control: Control::default(),
        }
    }

    /// Another process in the place of the one that was.
    pub(super) fn restart(&mut self) {
        let (id, next_turn, schema) = (self.id.clone(), self.next_turn, self.schema);
        *self = Self { id, life: self.life + 1, next_turn, schema, ..Self::new(self.roles, self.zone) };
    }
}
