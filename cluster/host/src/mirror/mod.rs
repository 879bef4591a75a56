//! What each of a room's two origins tells the other.
//!
//! | module | is |
//! |---|---|
//! | `log` | what is said |
//! | `wire` | the same as it travels, and back |
//! | `follow` | all of it for the other origin |

pub(crate) mod follow;
pub(crate) mod log;
pub(crate) mod wire;
