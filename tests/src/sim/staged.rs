//! Who may speak in a watched room, as it is told and kept.

use stentor_ids::{Epoch, ParticipantId};
use stentor_mix::{Participant, Stage};
use stentor_relay::StageId;
use stentor_room::Record;

/// A stage, and of which epoch it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Staged {
    pub(super) epoch: Epoch,
    pub(super) stage: Stage,
}

impl Staged {
    pub(super) fn id(&self) -> StageId {
        StageId { epoch: self.epoch, version: self.stage.version }
    }

    pub(super) fn mutes(&self, who: &ParticipantId) -> bool {
        self.stage.participants.iter().any(|one| one.id == *who && one.muted)
    }
}

/// Those of a record's stage who may speak, as the mixer is told.
pub(super) fn staged(epoch: Epoch, record: &Record) -> Staged {
    let participant = |one: &stentor_room::Participant| Participant {
        id: one.id.clone(),
        muted: one.muted_itself || one.muted_by_moderator,
        gain_db: f32::from(one.gain_db),
    };
    let participants = record.stage().iter().map(participant).collect();
    Staged { epoch, stage: Stage { version: record.stage_version(), participants } }
}
