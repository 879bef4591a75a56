//! The two ways of a speaker's packets.

/// One of the two ways from an edge to a room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// To its owner, who says who comes on the stage.
    Owner = 0,
    /// To its mirror, which takes the packets of those who are on it.
    Mirror = 1,
}

impl Way {
    pub(super) const fn other(self) -> Self {
        match self {
            Self::Owner => Self::Mirror,
            Self::Mirror => Self::Owner,
        }
    }
}
