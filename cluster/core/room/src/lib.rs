//! The room as a state machine: a command comes in with who gives it and when, effects come out or a refusal that says
//! why. The crate knows no directory, no link and no audio; a driver carries the effects out. In which order commands are
//! committed, told and answered is the [`Ledger`]'s; who has left the stage without saying so is the [`Absence`]'s.
//!
//! What lasts is the [`Record`], with the [`Bans`] beside it; hands and invitations are lost with the owner, and are raised and given again.

mod absence;
mod bans;
mod change;
mod command;
mod hands;
mod invalid;
mod ledger;
mod lifecycle;
mod moderation;
mod participant;
mod record;
mod refusal;
mod room;
mod spec;
mod stored;

pub use absence::Absence;
pub use bans::{BanPart, Bans, MAX_BANS};
pub use command::{Actor, Command, Effect, Notice};
pub use hands::{Hand, MAX_HANDS};
pub use invalid::{InvalidRecord, MAX_RECORD_BYTES};
pub use ledger::{CommitId, Ledger, Settled, Step, Written};
pub use lifecycle::Lifecycle;
pub use participant::{Participant, Ruling};
pub use record::{MAX_RULINGS, Record};
pub use refusal::Refusal;
pub use room::{Invitation, MAX_INVITATIONS, Room};
pub use spec::{InvalidSpec, Spec, SpecChange, Visibility};
pub use stored::{StoredRole, Unknown};
