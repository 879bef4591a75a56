//! What goes wrong, by name. To add a fault: a variant here, what it does in `strike`, and where it may strike in
//! `plan`.

use super::{directory::RoomIx, net::NodeIx};

/// Something that goes wrong. Times in milliseconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Fault {
    /// A process ends; its peers are told by their connections, unless its machine went with it. Another comes after `ms`.
    Kill { who: Who, told: bool, ms: u64 },
    /// A process stands still.
    Pause { who: Who, ms: u64 },
    /// A node is cut off from all others and the directory.
    Isolate { who: Who, ms: u64 },
    /// Nothing comes from one node to another.
    OneWay { from: Who, to: Who, ms: u64 },
    /// Nothing comes from one node to another, nor back.
    Cut { from: Who, to: Who, ms: u64 },
    /// Nothing comes from one of a room's two origins to the other, nor back; everyone else hears both.
    CutOrigins { room: RoomIx, ms: u64 },
    /// What comes from one node to another is late by up to so much.
    Slow { from: Who, to: Who, ms: u64, by_ms: u64 },
    /// The nodes fall into two zones that are cut from each other; both see the directory.
    SplitZones { ms: u64 },
    /// A node hears nothing of the directory.
    NoDirectory { who: Who, ms: u64 },
    /// The directory is gone for a time, and comes back in some state.
    Outage { ms: u64, back: Back },
    /// A node hands over what it has and ends; another process comes after `ms`.
    Drain { who: Who, ms: u64 },
    /// What rooms send their nodes on ends otherwise than it should.
    Odd { how: How, ms: u64 },
    /// A room is moved to a named node.
    Move { room: RoomIx, to: NodeIx },
    /// A room's mirror steps aside.
    Aside { room: RoomIx },
    /// A room's actor fails there, and is restarted.
    Restart { who: Who, room: RoomIx },
    /// A room is ended.
    End { room: RoomIx },
    /// An owner of a newer build writes what others cannot read.
    Newer { room: RoomIx },
    /// A node's clock is so far off that it takes no rooms.
    Barred { who: Who, ms: u64 },
    /// The next claim of a room is made and not answered, and its node restarts.
    LoseClaim { room: RoomIx, ms: u64 },
    /// A node's view of the directory is so far behind what calls of it answer.
    Lag { who: Who, ms: u64, by_ms: u64 },
}

/// How calls end that do not end as they should.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum How {
    /// The task that made it panics.
    Panics,
    /// It never ends.
    Never,
    /// Its end is told twice.
    Twice,
    /// Its end is told when nobody waits for it any more.
    Late,
}

/// Whom it strikes: found when it does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Who {
    /// The node of this number.
    Node(NodeIx),
    /// The owner of this room.
    Owner(usize),
    /// The mirror of this room.
    Mirror(usize),
    /// A relay that carries this room: the first, the second.
    Relay(usize, usize),
}

/// As what the directory comes back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(super) enum Back {
    /// As it was.
    Same,
    /// Without any lease.
    NoLeases,
    /// Empty.
    Empty,
    /// As it was so much earlier, in milliseconds.
    Older(u64),
}

impl Fault {
    /// How long it lasts.
    pub(super) const fn lasts_ms(&self) -> u64 {
        match *self {
            Self::Kill { ms, .. }
            | Self::Pause { ms, .. }
            | Self::Isolate { ms, .. }
            | Self::OneWay { ms, .. }
            | Self::Cut { ms, .. }
            | Self::CutOrigins { ms, .. }
            | Self::Slow { ms, .. }
            | Self::SplitZones { ms }
            | Self::NoDirectory { ms, .. }
            | Self::Barred { ms, .. }
            | Self::Lag { ms, .. }
            | Self::Outage { ms, .. } => ms,
            // Most of it is the handing over.
            Self::Drain { ms, .. } => ms + DRAIN_MS,
            // What nobody answers is given up only then.
            Self::Odd { ms, .. } => ms + ODD_MS,
            Self::LoseClaim { ms, .. } => ms + 2_000,
            Self::Move { .. }
            | Self::Aside { .. }
            | Self::Restart { .. }
            | Self::End { .. }
            | Self::Newer { .. } => ACT_MS,
        }
    }

    /// Its name in the table of faults.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::Kill { told: true, .. } => "kill",
            Self::Kill { told: false, .. } => "kill, untold",
            Self::Pause { .. } => "pause",
            Self::Isolate { .. } => "isolate",
            Self::OneWay { .. } => "one-way cut",
            Self::Cut { .. } => "cut",
            Self::CutOrigins { .. } => "cut origins",
            Self::Slow { .. } => "slow link",
            Self::SplitZones { .. } => "zones split",
            Self::NoDirectory { .. } => "no directory for one",
            Self::Outage { back: Back::Same, .. } => "directory gone",
            Self::Outage { back: Back::NoLeases, .. } => "directory gone, leases lost",
            Self::Outage { back: Back::Empty, .. } => "directory gone, wiped",
            Self::Outage { back: Back::Older(_), .. } => "directory gone, older",
            Self::Drain { .. } => "drain",
            Self::Odd { how: How::Panics, .. } => "calls that panic",
            Self::Odd { how: How::Never, .. } => "calls that never end",
            Self::Odd { how: How::Twice, .. } => "calls that end twice",
            Self::Odd { how: How::Late, .. } => "calls that end late",
            Self::Move { .. } => "move to a node",
            Self::Aside { .. } => "mirror steps aside",
            Self::Restart { .. } => "actor restarted",
            Self::End { .. } => "room ended",
            Self::Newer { .. } => "newer record",
            Self::Barred { .. } => "clock bars a node",
            Self::LoseClaim { .. } => "claim's answer lost",
            Self::Lag { .. } => "late view",
        }
    }
}

/// How long a node that drains may take.
pub(super) const DRAIN_MS: u64 = 6_000;
/// How long a room may take to move, or to have another mirror.
const ACT_MS: u64 = 6_000;
/// How long after calls end as they should again what was sent before is waited for.
const ODD_MS: u64 = 20_000;
