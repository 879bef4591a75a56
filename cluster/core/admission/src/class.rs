//! Who goes first when many ask at once. Each class has places of its own, so that a crowd that fills its own takes none from
//! those on whom the show depends.

use stentor_ids::Role;

/// Who asks, by what depends on the answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// Operators, hosts and cohosts: they keep order.
    Moderators,
    /// Speakers: they are what is heard.
    Stage,
    /// Everyone else.
    Crowd,
}

impl Class {
    /// Every class, by its index.
    pub const ALL: [Self; 3] = [Self::Moderators, Self::Stage, Self::Crowd];

    /// The class of who has this role.
    #[must_use]
    pub const fn of(role: Role) -> Self {
        match role {
            Role::Host | Role::Cohost => Self::Moderators,
            Role::Speaker => Self::Stage,
            Role::Listener => Self::Crowd,
        }
    }

    /// Its place in [`Class::ALL`].
    #[must_use]
    pub const fn index(self) -> usize {
        match self {
            Self::Moderators => 0,
            Self::Stage => 1,
            Self::Crowd => 2,
        }
    }

    /// Commands of one room that may be under way at once. Together they are answered within a second, as each may wait
    /// for a commit of some milliseconds. Few moderate; a stage that reconnects comes at once, and is answered at once
    /// but for those who are not on it yet; of the crowd an edge sends a batch at a time. One more is refused with a
    /// time to come back.
    #[must_use]
    pub const fn commands(self) -> usize {
        match self {
            Self::Moderators | Self::Crowd => 32,
            Self::Stage => 64,
        }
    }

    /// Participants whose pace an edge keeps at once. Those who have been quiet for two seconds are forgotten; if all are
    /// busy, one more is refused with a time to come back.
    #[must_use]
    pub const fn paced(self) -> usize {
        match self {
            Self::Moderators => 1_000,
            Self::Stage => 2_000,
            Self::Crowd => 10_000,
        }
    }

    /// Who they are, in words.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Moderators => "operators and hosts",
            Self::Stage => "the stage",
            Self::Crowd => "listeners",
        }
    }
}
