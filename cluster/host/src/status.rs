//! A room as its record tells it, for nodes and for the mixer.

use std::sync::Arc;

use stentor_ids::{Epoch, NodeId, ParticipantId};
use stentor_mix::{self as mix, Stage};
use stentor_proto::{moment, role_to_wire, v1};
use stentor_relay::StageId;
use stentor_room::{Lifecycle, Notice, Participant, Record, Spec, Visibility};

/// Level of who is not heard.
const SILENT_DBOV: i32 = -127;

/// The room as its record tells it, and who owns it as far as is known.
pub(crate) fn recorded(room: &str, record: &Record, owner: Option<(&NodeId, Epoch)>) -> v1::RoomStatus {
    let (live_since_us, ended_at_ms) = match record.lifecycle() {
        Lifecycle::Live { since } => (signed(since.as_micros()), 0),
        Lifecycle::Ended { at } => (0, signed(at.as_millis())),
        Lifecycle::Scheduled | Lifecycle::Open => (0, 0),
    };
    v1::RoomStatus {
        room: room.to_owned(),
        spec: Some(spec_to_wire(record.spec())),
        lifecycle: lifecycle_to_wire(record.lifecycle()).into(),
        live_since_us,
        ended_at_ms,
        owner: owner.map(|(node, _)| node.to_string()).unwrap_or_default(),
        epoch: owner.map(|(_, epoch)| epoch.0).unwrap_or_default(),
        stage_version: record.stage_version(),
        incarnation: record.incarnation(),
        stage: record.stage().iter().map(|one| participant(one, None)).collect(),
        ..v1::RoomStatus::default()
    }
}

/// Who may not hear the room.
pub(crate) fn banned(record: &Record) -> impl Iterator<Item = ParticipantId> {
    record.bans().iter().cloned()
}

/// The stage as the mixer sees it, of which epoch it is.
#[derive(Debug, Clone)]
pub(crate) struct Staged {
    pub(crate) epoch: Epoch,
    pub(crate) stage: Arc<Stage>,
}

impl Staged {
    pub(crate) fn id(&self) -> StageId {
        StageId { epoch: self.epoch, version: self.stage.version }
    }
}

/// The stage of a record that is decided from under this epoch, or was written under it.
pub(crate) fn staged(epoch: Epoch, record: &Record) -> Staged {
    let participant = |one: &Participant| mix::Participant {
        id: one.id.clone(),
        muted: !record.may_speak(&one.id),
        gain_db: one.gain_db.into(),
    };
    let participants = record.stage().iter().map(participant).collect();
    Staged { epoch, stage: Arc::new(Stage { version: record.stage_version(), participants }) }
}

/// A stage as it travels.
pub(crate) fn stage_to_wire(Staged { epoch, stage }: &Staged) -> v1::StageState {
    let participant = |one: &mix::Participant| v1::Participant {
        id: one.id.to_string(),
        muted: one.muted,
        // A room's gains are whole.
        gain_db: one.gain_db as i32,
        ..v1::Participant::default()
    };
    let seats = stage.participants.iter().map(participant).collect();
    v1::StageState { version: stage.version, seats, epoch: epoch.0 }
}

/// What happened to a participant, as it travels. The feed numbers it.
pub(crate) fn event(participant: &ParticipantId, notice: Notice) -> v1::ParticipantEvent {
    use v1::participant_event::What;
    let what = match notice {
        Notice::Muted(muted) => What::Muted(muted),
        Notice::Role(role) => What::Role(role_to_wire(role).into()),
        Notice::Removed(reason) => What::Removed(reason),
        Notice::Banned(reason) => What::Banned(reason),
        Notice::HandLowered(reason) => What::HandLowered(reason),
        Notice::Invited { role, .. } => What::Invited(role_to_wire(role).into()),
    };
    v1::ParticipantEvent { participant: participant.to_string(), serial: 0, what: Some(what) }
}

/// A participant, and whether it is connected, as only the owner knows. Who is heard is told with the levels.
pub(crate) fn participant(one: &Participant, connected: Option<bool>) -> v1::Participant {
    v1::Participant {
        id: one.id.to_string(),
        name: one.name.clone(),
        role: role_to_wire(one.role()).into(),
        muted: one.is_muted(),
        gain_db: one.gain_db.into(),
        connected,
        level_dbov: connected.map(|_| SILENT_DBOV),
    }
}

fn spec_to_wire(spec: &Spec) -> v1::RoomSpec {
    let visibility = match spec.visibility {
        Visibility::Public => v1::Visibility::Public,
        Visibility::Private => v1::Visibility::Private,
    };
    v1::RoomSpec {
        title: spec.title.clone(),
        visibility: visibility.into(),
        starts_at: spec.starts_at.map(|at| moment(at.as_micros())),
        stage_limit: spec.stage_limit,
        bitrate_bps: spec.bitrate_bps,
    }
}

const fn lifecycle_to_wire(lifecycle: Lifecycle) -> v1::Lifecycle {
    match lifecycle {
        Lifecycle::Scheduled => v1::Lifecycle::Scheduled,
        Lifecycle::Open => v1::Lifecycle::Open,
        Lifecycle::Live { .. } => v1::Lifecycle::Live,
        Lifecycle::Ended { .. } => v1::Lifecycle::Ended,
    }
}

/// A number as it travels; one that is too large as the largest.
pub(crate) fn signed(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}
