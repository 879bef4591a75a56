//! The states of a tenure, and what can be asked of it.

use stentor_ids::NodeId;
use stentor_pace::{Deadline, soonest};

use super::{
    desk::Desk,
    going::{Over, Retiring},
    mirror::Mirror,
    owner::Owner,
    pending::Wake,
};
use crate::{Driver, Standing};

/// A room that this node owns or mirrors, or did.
pub struct Tenure<D: Driver> {
    pub(super) desk: Desk<D>,
    pub(super) state: State<D>,
}

pub(super) enum State<D: Driver> {
    Owner(Owner<D>),
    Mirror(Mirror<D>),
    Retiring(Retiring<D>),
    Over(Over),
}

impl<D: Driver> Tenure<D> {
    /// When to poll next if nothing happens, and why.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Deadline<Wake>> {
        let next = match &self.state {
            State::Owner(owner) => owner.next_deadline(),
            State::Mirror(mirror) => mirror.next_deadline(),
            State::Retiring(retiring) => retiring.next_deadline(),
            State::Over(over) => over.next_deadline(),
        };
        soonest([next, self.desk.bid.next_deadline()])
    }

    /// What this node is to the room; `None` when that is over.
    #[must_use]
    pub fn standing(&self) -> Option<Standing<D>> {
        match &self.state {
            State::Owner(owner) => Some(Standing::Owner(owner.held.clone())),
            State::Retiring(retiring) => Some(Standing::Owner(retiring.held.clone())),
            State::Mirror(mirror) => {
                Some(Standing::Mirror { held: mirror.held.clone(), owner: mirror.owner.clone() })
            }
            State::Over(_) => None,
        }
    }

    /// Whether this node owns the room and has not heard of a successor.
    #[must_use]
    pub const fn is_owner(&self) -> bool {
        matches!(self.state, State::Owner(_))
    }

    /// Whether this node mirrors the room.
    #[must_use]
    pub const fn is_mirror(&self) -> bool {
        matches!(self.state, State::Mirror(_))
    }

    /// Whether nothing more is to come.
    #[must_use]
    pub const fn is_over(&self) -> bool {
        matches!(self.state, State::Over(_))
    }

    /// Whether this node's own key is gone and not back yet: then nothing can be committed.
    #[must_use]
    pub const fn has_lost_its_key(&self) -> bool {
        match &self.state {
            State::Owner(owner) => owner.put_back.is_gone(),
            State::Mirror(mirror) => mirror.put_back.is_gone(),
            State::Retiring(_) | State::Over(_) => false,
        }
    }

    /// The room's other origin: the mirror that an owner has, the owner of a mirror, or the successor of an owner that goes.
    #[must_use]
    pub fn other(&self) -> Option<&NodeId> {
        match &self.state {
            State::Owner(owner) => owner.mirror(),
            State::Mirror(mirror) => Some(&mirror.owner.node),
            State::Retiring(retiring) => Some(&retiring.successor.node),
            State::Over(_) => None,
        }
    }
}
