//! Raised hands, in the order they were raised. They are not part of the durable record: a crowd raises and lowers them
//! faster than a directory should write.
//!
//! Invariants: nobody has two hands up; there are never more than [`MAX_HANDS`]. A hand that is not up, and one more when
//! the list is full, cost a look-up and no walk: that is what a crowd asks for most.

use std::{collections::BTreeSet, time::Duration};

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
pub(crate) struct Hands {
    raised: Vec<Hand>,
    ids: BTreeSet<ParticipantId>,
}

impl Hands {
    pub(crate) fn as_slice(&self) -> &[Hand] {
        &self.raised
    }

    pub(crate) fn contains(&self, id: &ParticipantId) -> bool {
        self.ids.contains(id)
    }

    pub(crate) fn is_full(&self) -> bool {
        self.raised.len() >= MAX_HANDS
    }

    /// The caller has seen that the hand is not up and the list not full.
    pub(crate) fn raise(&mut self, hand: Hand) {
        self.ids.insert(hand.id.clone());
        self.raised.push(hand);
    }

    /// Whether the hand was up.
    pub(crate) fn lower(&mut self, id: &ParticipantId) -> bool {
        let up = self.ids.remove(id);
        if up {
            self.raised.retain(|hand| hand.id != *id);
        }
        up
    }

    /// Whether any hand was up.
    pub(crate) fn lower_all(&mut self) -> bool {
        !std::mem::take(self).raised.is_empty()
    }

    /// Lowers the hands whose time is over, and says whose they were.
    pub(crate) fn expire(&mut self, now: WallTime) -> Vec<ParticipantId> {
        let over = |hand: &Hand| now.since(hand.raised_at) >= HAND_LASTS;
        // Whoever asked first is over first.
        if !self.raised.first().is_some_and(over) {
            return Vec::new();
        }
        let gone: Vec<_> = self.raised.extract_if(.., |hand| over(hand)).map(|hand| hand.id).collect();
        for id in &gone {
            self.ids.remove(id);
        }
        gone
    }
}
