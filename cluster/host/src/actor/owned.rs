//! A room as its owner tells it: what its record says, and what only the owner knows beside.

use stentor_ids::{NodeId, ParticipantId};
use stentor_proto::v1;
use stentor_room::{Participant, Room};

use crate::{
    hosted::Hosted,
    status::{participant, recorded, signed},
};

/// What the owner knows of the room's two origins.
pub(super) struct Origins<'a> {
    pub(super) me: &'a NodeId,
    pub(super) mirror: Option<&'a NodeId>,
    /// Whether the mirror could go on at once.
    pub(super) ready: bool,
}

/// The room as its owner tells it, without what changes all the time: that is [`levels`].
pub(super) fn owned(hosted: &Hosted, room: &Room, origins: &Origins<'_>) -> v1::RoomStatus {
    let (record, published) = (room.record(), hosted.published());
    let owner = published.standing.owner();
    let told = |one: &Participant| participant(one, Some(hosted.speakers.is_connected(&one.id)));
    let leader = if hosted.leads() {
        Some(origins.me)
    } else {
        origins.mirror.filter(|_| hosted.peer.leads(origins.mirror))
    };
    v1::RoomStatus {
        mirror: origins.mirror.map(ToString::to_string).unwrap_or_default(),
        mirror_ready: origins.ready && origins.mirror.is_some(),
        leader: leader.map(ToString::to_string).unwrap_or_default(),
        lineage: hosted.feed.lineage().0,
        slot: hosted.newest().unwrap_or_default().0,
        stage: record.stage().iter().map(told).collect(),
        hands: Some(u32::try_from(room.hands().len()).unwrap_or(u32::MAX)),
        last_takeover_ms: published.taken_over.map_or(0, |at| signed(at.as_millis())),
        ..recorded(hosted.id.as_str(), record, Some((&owner.node, owner.epoch)))
    }
}

/// How many listen, how loud who speaks is, and where the audio is.
pub(super) fn levels(hosted: &Hosted) -> v1::Levels {
    let levels = hosted.levels.lock();
    let level = |(id, level): (&ParticipantId, &i8)| v1::TalkerLevel {
        participant: id.to_string(),
        level_dbov: i32::from(*level),
    };
    v1::Levels {
        epoch: hosted.epoch().0,
        serial: 0,
        slot: hosted.newest().unwrap_or_default().0,
        lineage: hosted.feed.lineage().0,
        count: Some(hosted.feed.counts()),
        talkers: levels.iter().map(level).collect(),
    }
}
