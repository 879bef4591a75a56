//! Who may do what in which room, and who goes first: tickets of participants, what lets speakers resume, tokens of
//! operators. Everything is checked without a call to anyone, at the time that is passed in. The crate knows no transport;
//! a driver takes the token from where it stands, and brings what is random.
//!
//! Invariants: no secret is in a `Debug` text, an error or a log; no input from outside panics.

mod admin;
mod claims;
mod class;
mod keys;
mod paces;
mod refusal;
mod resume;
mod ticket;
mod token;
mod wrong;

pub use admin::{AdminTokens, InvalidAdminTokens, Operator};
pub use claims::{Claims, InvalidClaims};
pub use class::Class;
pub use keys::{
    ClusterKeys, InvalidKeys, KeyKind, MIN_SECRET_BYTES, NewKey, SigningKeys, TicketKeys, key_line,
};
pub use paces::{Paces, RATE, TooMuch};
pub use refusal::{MAX_TOKEN_BYTES, Refusal};
pub use resume::{MAX_RESUME_BYTES, Resume};
pub use ticket::{SignError, bearer};
pub use wrong::WrongTokens;
