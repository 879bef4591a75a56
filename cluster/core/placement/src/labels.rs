//! What a node says of itself by which others place rooms: from its settings, through its entry in the directory, to the
//! ranking. A label stands here once; [`Candidate::of`](crate::Candidate::of) is the one place that turns it into what is
//! ranked. Which of them a build does not know is left out, and takes its default.

use serde::{Deserialize, Serialize};

/// The labels of a node.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Labels {
    /// Failure domain; empty where there are no zones.
    #[serde(default)]
    pub zone: String,
    /// Its share, relative to the other nodes; at 0 it takes nothing.
    #[serde(default = "one")]
    pub capacity: u32,
    /// It is leaving: it is given nothing new.
    #[serde(default)]
    pub draining: bool,
    /// The highest schema of rooms' records that it reads; a room with a higher one is not for it. Builds that do not say it
    /// read the first.
    #[serde(default = "one")]
    pub schema: u32,
}

impl Default for Labels {
    /// Of a node in no zone, with a capacity of 1, that stays and reads the first schema.
    fn default() -> Self {
        Self { zone: String::new(), capacity: one(), draining: false, schema: one() }
    }
}

const fn one() -> u32 {
    1
}
