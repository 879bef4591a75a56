//! Tickets whose signature was found right. The check of a signature by a public key costs so much more than a look-up
//! that whoever holds a ticket and calls often would keep an edge busy with it.
//!
//! What is remembered is what the ticket says, and never that it is good now: its time is looked at each time. A whole
//! ticket is the key, by a hash with a secret of this process, so that how long a look takes tells nothing of another's.
//!
//! Invariant: no more than twice [`GENERATION`] tickets are kept, and none that was not verified.

use std::{collections::HashMap, mem};

use stentor_admission::Claims;

/// Tickets of a generation; of the longest they are 16 MiB of text. One that is full becomes the older one, and what was
/// in that and was not shown again meanwhile is verified anew.
const GENERATION: usize = 8192;

#[derive(Default)]
pub(super) struct Verified {
    young: HashMap<Box<str>, Claims>,
    old: HashMap<Box<str>, Claims>,
}

impl Verified {
    /// What the ticket says, if it was verified lately.
    pub(super) fn get(&mut self, ticket: &str) -> Option<Claims> {
        if let Some(claims) = self.young.get(ticket) {
            return Some(claims.clone());
        }
        let claims = self.old.remove(ticket)?;
        self.put(ticket, claims.clone());
        Some(claims)
    }

    /// Remembers a ticket that was verified with keys that hold as long as this.
    pub(super) fn put(&mut self, ticket: &str, claims: Claims) {
        if self.young.len() >= GENERATION {
            self.old = mem::take(&mut self.young);
        }
        self.young.insert(ticket.into(), claims);
    }
}

impl std::fmt::Debug for Verified {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Verified({})", self.young.len() + self.old.len())
    }
}

#[cfg(test)]
mod tests {
    use stentor_ids::{ParticipantId, Role, RoomId};
    use stentor_pace::WallTime;

    use super::*;

    fn claims(name: &str) -> Claims {
        Claims {
            room: RoomId::new("talk").unwrap(),
            participant: ParticipantId::new("ann").unwrap(),
            name: name.into(),
            role: Role::Listener,
            expires_at: WallTime::default(),
            not_before: None,
            issued_at: None,
        }
    }

    #[test]
    fn what_is_shown_again_is_kept_and_what_is_not_goes() {
        let mut verified = Verified::default();
        assert_eq!(verified.get("a"), None);
        verified.put("a", claims("a"));
        verified.put("b", claims("b"));
        for n in 0..5 * GENERATION {
            verified.put(&format!("{n}"), claims("c"));
            assert_eq!(verified.get("a"), Some(claims("a")), "{n}");
            assert!(verified.young.len() + verified.old.len() <= 2 * GENERATION);
        }
        assert_eq!((verified.get("b"), verified.get("0")), (None, None));
        assert_eq!(format!("{verified:?}").split('(').next(), Some("Verified"));
    }
}
