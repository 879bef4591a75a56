//! What each of a room's two origins tells the other: its `mix_log`, as it travels.
//!
//! | module | is |
//! |---|---|
//! | `wire` | what is said as it travels, and back |
//! | `follow` | all of it for the other origin |

pub(crate) mod follow;
pub(crate) mod wire;
