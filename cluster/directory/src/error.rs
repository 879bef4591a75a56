//! What can go wrong with the directory, and what to do about it.

use std::{path::PathBuf, time::Duration};

use stentor_ids::{Code, Epoch, Fault, NodeId, RoomId};

use crate::{Mirror, Owner, Revision, room::MAX_RECORD_BYTES};

/// What callers are told to wait before they try an unreachable directory again: long enough for etcd to elect a leader.
const UNAVAILABLE_RETRY: Duration = Duration::from_secs(2);
/// What callers are told to wait when somebody else was faster: the watch has brought the news by then.
const RACE_RETRY: Duration = Duration::from_millis(200);

/// Why the directory refused or could not do something.
#[derive(Debug, Clone, thiserror::Error)]
pub enum Error {
    /// The directory did not answer in time, or answered that it cannot work now. A write may or may not have happened.
    #[error("{directory} is not available: {reason}; check that it runs and can be reached")]
    Unavailable {
        /// Which one: its endpoints, or its folder.
        directory: String,
        /// What was seen.
        reason: String,
    },
    /// The directory will not serve this client.
    #[error("{directory} refuses this client: {reason}; check the certificates and permissions")]
    Refused {
        /// Which one.
        directory: String,
        /// What it said.
        reason: String,
    },
    /// The configuration cannot work.
    #[error("directory configuration: {0}")]
    Config(String),
    /// A living node has this id already.
    #[error(
        "node {node} is already in the cluster and alive (at {link_addr:?}); give this node another id or stop the other"
    )]
    NodeExists {
        /// The id that is taken.
        node: NodeId,
        /// Where the one that has it is.
        link_addr: String,
    },
    /// The lease that a write hangs on has ended; the session is getting a new one.
    #[error("the lease has ended; the node is out of the membership until it has registered again")]
    LeaseGone,
    /// A room of that name exists already.
    #[error("room {room} exists already")]
    RoomExists {
        /// Its name.
        room: RoomId,
    },
    /// No room of that name exists.
    #[error("there is no room {room}")]
    UnknownRoom {
        /// The name that was asked for.
        room: RoomId,
    },
    /// The room's record was changed by somebody else since it was read.
    #[error("room {room} has changed since revision {expected}; read it again")]
    Changed {
        /// The room.
        room: RoomId,
        /// The revision that the writer had read.
        expected: Revision,
    },
    /// Only the room's owner may write it now.
    #[error("room {room} is owned by {}; send the command there", owner.node)]
    Owned {
        /// The room.
        room: RoomId,
        /// Who owns it.
        owner: Owner,
    },
    /// Somebody else claimed the room first.
    #[error("room {room} was claimed by {} at epoch {}", owner.node, owner.epoch)]
    Lost {
        /// The room.
        room: RoomId,
        /// Who owns it now.
        owner: Owner,
    },
    /// Another node mirrors the room.
    #[error("room {room} is mirrored by {}", mirror.node)]
    Mirrored {
        /// The room.
        room: RoomId,
        /// Who mirrors it.
        mirror: Mirror,
    },
    /// The room's owner cannot mirror it too.
    #[error("node {node} owns room {room} and cannot mirror it too")]
    OwnMirror {
        /// The room.
        room: RoomId,
        /// The node that owns it.
        node: NodeId,
    },
    /// The ownership that a write relies on has ended: the room was claimed by another or the lease has ended.
    #[error("epoch {epoch} no longer owns room {room}")]
    Fenced {
        /// The room.
        room: RoomId,
        /// The epoch of the ownership that has ended.
        epoch: Epoch,
        /// Who owns the room now, if anyone.
        owner: Option<Owner>,
    },
    /// A room's record is longer than the directory takes.
    #[error("the record of room {room} has {len} bytes; at most {MAX_RECORD_BYTES} are allowed")]
    TooLarge {
        /// The room.
        room: RoomId,
        /// Length of the refused record in bytes.
        len: usize,
    },
    /// A value in the directory is not what Stentor writes there.
    #[error("the value of {key} in the directory cannot be read ({reason}); repair or delete it")]
    Unreadable {
        /// The key, without the directory's prefix.
        key: String,
        /// What is wrong with it.
        reason: String,
    },
    /// A record could not be written to or read from the data folder.
    #[error("{}: {reason}; check the data folder", path.display())]
    Disk {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        reason: String,
    },
}

impl Error {
    /// Whether there was no answer, so that a write may have happened all the same.
    pub(crate) const fn is_unavailable(&self) -> bool {
        matches!(self, Self::Unavailable { .. })
    }

    const fn code(&self) -> Code {
        match self {
            Self::Unavailable { .. } | Self::Refused { .. } | Self::LeaseGone | Self::Disk { .. } => {
                Code::DirectoryUnavailable
            }
            Self::Config(_) | Self::TooLarge { .. } => Code::InvalidArgument,
            Self::NodeExists { .. } => Code::NodeExists,
            Self::RoomExists { .. } => Code::RoomExists,
            Self::UnknownRoom { .. } => Code::UnknownRoom,
            Self::Changed { .. } | Self::Mirrored { .. } | Self::OwnMirror { .. } => Code::WrongState,
            Self::Owned { .. } | Self::Lost { .. } | Self::Fenced { .. } => Code::NotOwner,
            Self::Unreadable { .. } => Code::Internal,
        }
    }

    const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { .. } | Self::LeaseGone => Some(UNAVAILABLE_RETRY),
            Self::Changed { .. }
            | Self::Owned { .. }
            | Self::Lost { .. }
            | Self::Mirrored { .. }
            | Self::Fenced { .. } => Some(RACE_RETRY),
            _ => None,
        }
    }
}

/// Clients are not told where the directory is, nor what is on the node's disk: that is for the node's log.
impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        let fault = match error.code() {
            code @ Code::DirectoryUnavailable => Self::new(
                code,
                "the directory is not available now; the log of the node that was asked says why",
            ),
            code => Self::new(code, error.to_string()),
        };
        Self { retry_after: error.retry_after(), ..fault }
    }
}
