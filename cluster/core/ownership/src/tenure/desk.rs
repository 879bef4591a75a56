//! What every state of a tenure has: who and where it is, what the directory shows, what it asks of its driver and waits for.

use stentor_ids::{NodeId, RoomId};
use stentor_pace::{Deadline, Time};

use crate::{Driver, Effect, Errand, Here, MirrorKey, Shown, timing::ERRAND};

/// Why a tenure is to be woken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wake {
    /// The owner of a mirrored room may have failed; with the detector's reason.
    Detector(crate::detector::Wake),
    /// A key that is gone is to be put back.
    PutBack,
    /// A claim of this node's own whose answer did not come is to be made again.
    Claim,
    /// It is to be looked whether the heir is ready.
    Heir,
    /// Edges are to be sent to the successor.
    Redirect,
    /// An errand has not ended in its time.
    Errand,
}

/// What every state has: who and where it is, what the directory shows, and what it asks for.
pub(super) struct Desk<D: Driver> {
    pub(super) me: NodeId,
    pub(super) room: RoomId,
    pub(super) shown: Shown,
    pub(super) errands: u64,
    pub(super) out: Vec<Effect<D>>,
}

/// An errand that is waited for, and until when.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Pending {
    pub(super) errand: Errand,
    pub(super) until: Time,
}

impl Pending {
    pub(super) fn deadline(this: Option<Self>) -> Option<Deadline<Wake>> {
        this.map(|pending| Deadline::new(pending.until, Wake::Errand))
    }
}

impl<D: Driver> Desk<D> {
    pub(super) fn ask(&mut self, effect: impl IntoIterator<Item = Effect<D>>) {
        self.out.extend(effect);
    }

    /// Sends the driver on an errand.
    pub(super) fn send(&mut self, here: &Here, effect: impl FnOnce(Errand) -> Effect<D>) -> Pending {
        self.errands += 1;
        let errand = Errand(self.errands);
        self.out.push(effect(errand));
        Pending { errand, until: here.now + ERRAND }
    }
}

impl<D: Driver> Desk<D> {
    /// Who mirrors the room by the view, if it is not this node: a view from before this node's claim shows it, if it mirrored
    /// the room until then.
    pub(super) fn mirror(&self) -> Option<(NodeId, String)> {
        let keys = self.shown.keys.as_ref()?;
        let MirrorKey { node, .. } = keys.mirror.as_ref().filter(|mirror| mirror.node != self.me)?;
        Some((node.clone(), keys.mirror_at.clone()?))
    }
}

/// A key of this node's that may be gone, and how it is put back.
#[derive(Debug, Default)]
pub(super) struct PutBack {
    /// When to try next; `None` while the key is there.
    pub(super) next: Option<Time>,
    pub(super) pending: Option<Pending>,
}

impl PutBack {
    pub(super) const fn is_gone(&self) -> bool {
        self.next.is_some()
    }

    /// The key is gone: it is put back at once.
    pub(super) fn gone(&mut self, now: Time) {
        self.next = Some(now);
    }

    /// Whether it is to be tried now.
    pub(super) fn is_due(&mut self, now: Time) -> bool {
        if self.pending.is_some_and(|pending| pending.until <= now) {
            self.pending = None;
        }
        self.pending.is_none() && self.next.is_some_and(|next| next <= now)
    }

    /// Whether this errand is the one that is waited for; then it is no longer.
    pub(super) fn ended(&mut self, errand: Errand) -> bool {
        self.pending.take_if(|pending| pending.errand == errand).is_some()
    }

    pub(super) fn next_deadline(&self) -> Option<Deadline<Wake>> {
        match self.pending {
            Some(_) => Pending::deadline(self.pending),
            None => self.next.map(|next| Deadline::new(next, Wake::PutBack)),
        }
    }
}
