//! What each of the two origins says of itself, and what this one has heard of the other.

use std::time::Duration;

use stentor_ids::Lineage;
use stentor_pace::Time;

/// How often the other origin is told how this one stands, changes apart.
const SAY_EVERY: Duration = Duration::from_millis(400);

/// How an origin stands.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct State {
    /// It mixes.
    pub leads: bool,
    /// The highest lineage led or heard.
    pub lineage: Lineage,
    /// It could go on with the room at once.
    pub ready: bool,
}

/// What became of the other's word on itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Word {
    /// It says what cannot be, and is not believed.
    Refused,
    /// It stands as it did.
    Same,
    /// It leads, keeps, or is ready, other than before.
    Changed,
}

#[derive(Debug, Default)]
pub(super) struct Sayings {
    said: State,
    at: Time,
    /// What this origin has told that it leads, if it does.
    leads: Option<Lineage>,
    /// The other's last word, since that is who is followed.
    heard: Option<State>,
}

impl Sayings {
    /// When to say how this origin stands.
    pub(super) const fn due(&self) -> Time {
        self.at
    }

    pub(super) fn is_due(&self, now: Time) -> bool {
        now >= self.at
    }

    pub(super) fn say(&mut self, now: Time, state: State) -> State {
        (self.said, self.at) = (state, now + SAY_EVERY);
        state
    }

    /// Whether the other was told last that this origin could go on at once.
    pub(super) const fn promised(&self) -> bool {
        self.said.ready
    }

    /// A slot went out under this lineage. Returns the lineage before, if that is news.
    pub(super) fn leads(&mut self, lineage: Lineage) -> Option<Lineage> {
        let told = self.leads.replace(lineage);
        (told != Some(lineage)).then_some(self.said.lineage)
    }

    pub(super) const fn keeps(&mut self) {
        self.leads = None;
    }

    pub(super) fn told(&mut self, state: State) -> Word {
        let able = |state: State| (state.ready, state.leads);
        let before = self.heard.replace(state).map(able);
        if before == Some(able(state)) { Word::Same } else { Word::Changed }
    }

    /// Whether the other's last word was that it leads.
    pub(super) fn other_leads(&self) -> bool {
        self.heard.is_some_and(|state| state.leads)
    }

    /// Another origin is heard from now on; nothing is known of that yet.
    pub(super) const fn forget(&mut self) {
        self.heard = None;
    }
}
