//! Raised hands, in the order they were raised. They are not part of the durable record: a crowd raises and lowers them
//! faster than a directory should write.
//!
//! Invariants: nobody has two hands up; there are never more than [`MAX_HANDS`].

use std::time::Duration;

use stentor_ids::ParticipantId;
use stentor_pace::WallTime;

/// Hands a room keeps: more than hosts can go through, and few enough to list in one answer. One more is refused, so that
/// who asked first is served first.
pub const MAX_HANDS: usize = 1_000;

/// How long a hand stays up. Who has closed the page does not lower its hand, and must not block the list for good.
const HAND_LASTS: Duration = Duration::from_secs(15 * 60);

/// Someone who asks to speak.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Hand {
    /// Who.
    pub id: ParticipantId,
    /// The name to show.
    pub name: String,
    /// Since when.
    pub raised_at: WallTime,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hands(Vec<Hand>);

impl Hands {
    pub(crate) fn as_slice(&self) -> &[Hand] {
        &self.0
    }

    pub(crate) fn contains(&self, id: &ParticipantId) -> bool {
        self.0.iter().any(|hand| hand.id == *id)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.0.len() >= MAX_HANDS
    }

    /// The caller has seen that the hand is not up and the list not full.
    pub(crate) fn raise(&mut self, hand: Hand) {
        self.0.push(hand);
    }

    /// Whether the hand was up.
    pub(crate) fn lower(&mut self, id: &ParticipantId) -> bool {
        let before = self.0.len();
        self.0.retain(|hand| hand.id != *id);
        self.0.len() != before
    }

    /// Whether any hand was up.
    pub(crate) fn lower_all(&mut self) -> bool {
        !std::mem::take(&mut self.0).is_empty()
    }

    pub(crate) fn expire(&mut self, now: WallTime) {
        self.0.retain(|hand| now.since(hand.raised_at) < HAND_LASTS);
    }
}
