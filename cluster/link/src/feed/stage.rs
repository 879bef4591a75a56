//! Who may speak in a room, as it is passed down: to relays, and to edges, which keep back what the muted say.

use std::collections::BTreeMap;

use stentor_ids::{Epoch, InvalidName, ParticipantId};
use stentor_proto::v1;
use stentor_relay::StageId;

/// Participants of one stage that are taken: more than any room has. The rest is cut off.
pub const MAX_SEATS: usize = 256;

/// Where a participant is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Place {
    /// Nobody has said.
    Unknown,
    /// On the stage, and may speak.
    Open,
    /// On the stage, and may not speak now.
    Muted,
    /// Not on the stage.
    Off,
}

/// A stage: which one, and for each on it whether it is muted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(super) id: StageId,
    seats: BTreeMap<ParticipantId, bool>,
}

impl Stage {
    pub(super) fn place_of(&self, participant: &ParticipantId) -> Place {
        match self.seats.get(participant) {
            Some(true) => Place::Muted,
            Some(false) => Place::Open,
            None => Place::Off,
        }
    }

    /// As it travels: without gains, which who mixes alone needs.
    pub(crate) fn to_wire(&self) -> v1::StageState {
        let seat = |(id, muted): (&ParticipantId, &bool)| v1::Participant {
            id: id.to_string(),
            muted: *muted,
            ..v1::Participant::default()
        };
        let StageId { epoch, version } = self.id;
        v1::StageState { version, seats: self.seats.iter().map(seat).collect(), epoch: epoch.0 }
    }
}

impl TryFrom<&v1::StageState> for Stage {
    type Error = InvalidName;

    fn try_from(told: &v1::StageState) -> Result<Self, InvalidName> {
        let seat = |one: &v1::Participant| Ok((ParticipantId::new(&one.id)?, one.muted));
        let seats = told.seats.iter().take(MAX_SEATS).map(seat).collect::<Result<_, _>>()?;
        Ok(Self { id: StageId { epoch: Epoch(told.epoch), version: told.version }, seats })
    }
}
