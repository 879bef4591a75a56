//! What a fault does: who is what in a cluster, and which steps are taken when.

use std::time::Duration;

use rand::{rngs::StdRng, seq::IteratorRandom};

use super::wires::Rule;

/// Who is what at the moment.
#[derive(Debug, Clone, Default)]
pub struct Scene {
    /// The room's owner.
    pub owner: String,
    /// Its mirror; none while the room has none.
    pub mirror: Option<String>,
    /// Who mixes: the owner or the mirror.
    pub leader: String,
    /// All origins.
    pub origins: Vec<String>,
    /// All relays.
    pub relays: Vec<String>,
    /// All edges.
    pub edges: Vec<String>,
    /// Members of etcd.
    pub members: usize,
}

impl Scene {
    pub(super) fn everyone(&self) -> impl Iterator<Item = &String> {
        self.origins.iter().chain(&self.relays).chain(&self.edges)
    }

    /// The mirror, or another origin than the owner where there is none.
    pub(super) fn second(&self, random: &mut StdRng) -> String {
        let others = self.origins.iter().filter(|origin| **origin != self.owner);
        self.mirror.clone().or_else(|| others.choose(random).cloned()).unwrap_or_default()
    }
}

/// How far ahead of the true time a clock is, in milliseconds; negative if it is behind.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Jump(pub i64);

/// One thing that is done.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// Nothing; it only takes its time.
    Wait,
    /// SIGKILL to a node.
    Kill(String),
    /// SIGSTOP to a node.
    Pause(String),
    /// SIGCONT to it.
    Resume(String),
    /// Starts a node that was killed.
    Start(String),
    /// SIGTERM to a node; it ends by itself and is started again.
    Recycle(String),
    /// The same, and it is not started.
    Leave(String),
    /// These nodes and all others do not reach each other.
    Split(Vec<String>),
    /// They do again.
    Heal(Vec<String>),
    /// A voice is muted by an operator at the first edge, and then not any more.
    Mute,
    /// What becomes of the bytes from one place to another.
    Wire(String, String, Rule),
    /// Everything passes between two places, both ways.
    Mend(String, String),
    /// SIGKILL to a member of etcd.
    KillMember(usize),
    /// SIGKILL to all of etcd.
    KillEtcd,
    /// The same, and its data are removed.
    WipeEtcd,
    /// Starts what of etcd does not run.
    StartEtcd,
    /// A node's wall clock is this far ahead of the true one.
    Clock(String, Jump),
    /// Someone joins at each edge that runs, and is to hear the room.
    Join,
}

/// What is done, in its order, each at a time after the first.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan(pub Vec<(Duration, Step)>);

impl Plan {
    pub(super) fn then(mut self, after: Duration, steps: impl IntoIterator<Item = Step>) -> Self {
        self.0.extend(steps.into_iter().map(|step| (after, step)));
        self
    }

    /// Whether a node is killed, so that who is connected to it has to connect again.
    #[must_use]
    pub fn kills(&self, node: &str) -> bool {
        self.0.iter().any(|(_, step)| matches!(step, Step::Kill(name) if name == node))
    }

    /// Whether a node is on the side of a cut that reaches less: of who is there more is asked than can be had.
    #[must_use]
    pub fn strands(&self, node: &str) -> bool {
        self.0
            .iter()
            .any(|(_, step)| matches!(step, Step::Split(part) if part.iter().any(|name| name == node)))
    }

    pub(super) fn later(mut self, by: Duration) -> Self {
        self.0.iter_mut().for_each(|(at, _)| *at += by);
        self
    }

    /// Both at once: a node that both harm is killed once.
    pub(super) fn and(mut self, other: Self) -> Self {
        for (at, step) in other.0 {
            let twice = self.0.iter().any(|(_, known)| *known == step);
            if !twice {
                self.0.push((at, step));
            }
        }
        self.0.sort_by_key(|(at, _)| *at);
        self
    }
}
