//! The closed sets that label values come from.

macro_rules! label {
    ($(#[$doc:meta])* $type:ident { $($(#[$value_doc:meta])* $variant:ident = $text:literal,)* }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum $type {
            $($(#[$value_doc])* $variant,)*
        }

        impl Label for $type {
            const ALL: &'static [Self] = &[$(Self::$variant,)*];

            fn index(self) -> usize {
                self as usize
            }

            fn text(self) -> &'static str {
                match self { $(Self::$variant => $text,)* }
            }
        }
    };
}

/// A closed set of label values.
pub(super) trait Label: Copy + 'static {
    /// Every value there is, in the order of [`Label::index`].
    const ALL: &'static [Self];
    /// Place of the value in `ALL`.
    fn index(self) -> usize;
    /// The value as Prometheus sees it.
    fn text(self) -> &'static str;
}

label! {
    /// The part of the way of a frame that a node plays. A node may play several.
    Tier {
        /// Mixes.
        Origin = "origin",
        /// Passes on.
        Relay = "relay",
        /// Plays out to people.
        Edge = "edge",
    }
}

label! {
    /// What became of room audio at one tier, in slots.
    Frames {
        /// Taken from a parent; at an origin, mixed.
        In = "in",
        /// Sent to children or listeners, one for each of them.
        Out = "out",
        /// Came after its playout deadline.
        Late = "late",
        /// Nobody had it at its playout deadline.
        Lost = "lost",
        /// Came from both parents; the second copy is let go.
        Duplicate = "duplicate",
        /// Of an older epoch at or above a claim.
        Fenced = "fenced",
        /// Not sent to a child or listener that lagged.
        Skipped = "skipped",
    }
}

label! {
    /// What became of a speaker's packet.
    Packet {
        /// Taken: stamped and sent on at an edge, put into the ring at an origin.
        Taken = "taken",
        /// Not Opus that a room takes.
        Invalid = "invalid",
        /// Above twice real time.
        Flood = "flood",
        /// From someone who may not speak now.
        Forbidden = "forbidden",
        /// Of a stream that a newer connection replaced.
        Stale = "stale",
        /// The oldest of a full queue.
        Dropped = "dropped",
        /// After its slot was mixed.
        Late = "late",
        /// Never came: concealed.
        Concealed = "concealed",
    }
}

label! {
    /// How a listener or speaker is connected to an edge.
    Protocol {
        /// `live.ogg` over HTTP.
        Ogg = "ogg",
        /// `ListenService` and `SpeakService`.
        Grpc = "grpc",
    }
}

label! {
    /// Why a listener's session ended.
    Leave {
        /// The client went.
        Left = "left",
        /// The room ended.
        Ended = "ended",
        /// The client read too slowly for too long.
        Slow = "slow",
        /// The ticket expired or its holder was banned.
        Refused = "refused",
        /// The edge is leaving, or lost the room.
        Closed = "closed",
    }
}

label! {
    /// A kind of stream between two nodes.
    LinkKind {
        /// Speakers of one room: edge to origin.
        Uplink = "uplink",
        /// One room to a child.
        Child = "child",
        /// One room from a parent.
        Parent = "parent",
        /// One gRPC connection to another node.
        Channel = "channel",
    }
}

label! {
    /// How a claim of a room ended.
    Claim {
        /// This node owns the room now.
        Won = "won",
        /// Another node was first.
        Lost = "lost",
        /// The directory did not answer.
        Failed = "failed",
    }
}

label! {
    /// What became of the node's lease.
    Lease {
        /// Renewed in time.
        Renewed = "renewed",
        /// One renewal failed.
        Failed = "failed",
        /// It ran out, and the node registered again.
        Lost = "lost",
    }
}

label! {
    /// How a call ended.
    Call {
        /// With an answer.
        Ok = "ok",
        /// With a refusal or none.
        Fault = "fault",
    }
}

label! {
    /// Whose keys of the directory.
    Keys {
        /// The members'.
        Nodes = "nodes",
        /// The rooms'.
        Rooms = "rooms",
    }
}

label! {
    /// A port with a bound on its connections that is not people's.
    PortKind {
        /// Where nodes connect.
        Link = "link",
        /// Where operators connect.
        Admin = "admin",
    }
}
