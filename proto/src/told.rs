//! A room as nodes tell it to each other, made into what people and operators are told of it. The only place where this is
//! done, so that what only nodes tell each other goes no further.

use std::time::Duration;

use crate::{moment, span, v1};

/// A room as people at an edge are told it: nothing of the nodes that run it.
#[must_use]
pub fn to_people(status: &v1::RoomStatus) -> v1::Room {
    v1::Room {
        room: status.room.clone(),
        spec: status.spec.clone(),
        lifecycle: status.lifecycle,
        live_since: moment_or_none(status.live_since_us, 1),
        ended_at: moment_or_none(status.ended_at_ms, 1000),
        stage_version: status.stage_version,
        stage: status.stage.clone(),
        listeners: status.count.as_ref().map(listeners),
        hands: status.hands,
        ..v1::Room::default()
    }
}

/// A room as operators are told it: with the nodes that run it.
#[must_use]
pub fn to_operators(status: &v1::RoomStatus) -> v1::Room {
    let on_air = status.lineage > 0 || status.slot > 0;
    let mirrored = !status.mirror.is_empty() && status.hands.is_some();
    v1::Room {
        owner: status.owner.clone(),
        epoch: status.epoch,
        mirror: status.mirror.clone(),
        mirror_ready: mirrored.then_some(status.mirror_ready),
        leader: status.leader.clone(),
        lineage: on_air.then_some(status.lineage),
        slot: on_air.then_some(status.slot),
        last_takeover: moment_or_none(status.last_takeover_ms, 1000),
        ..to_people(status)
    }
}

/// How many listen, as people and operators are told it.
#[must_use]
pub fn listeners(count: &v1::ListenerCount) -> v1::Listeners {
    v1::Listeners {
        count: count.listeners,
        age: Some(span(Duration::from_millis(count.age_ms.into()))),
        edges_reporting: count.edges_reporting,
        edges_known: count.edges_known,
        slots_filled: count.slots_filled,
    }
}

/// A moment of the links between nodes, in units of so many microseconds, where 0 says that there is none.
fn moment_or_none(units: i64, micros: u64) -> Option<prost_types::Timestamp> {
    let units = u64::try_from(units).ok().filter(|units| *units > 0)?;
    Some(moment(units.saturating_mul(micros)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> v1::RoomStatus {
        v1::RoomStatus {
            room: "talk".into(),
            live_since_us: 1_798_135_200_250_000,
            last_takeover_ms: 1_798_135_214_000,
            owner: "origin-a".into(),
            epoch: 3,
            mirror: "origin-b".into(),
            lineage: 196_608,
            hands: Some(2),
            ..v1::RoomStatus::default()
        }
    }

    #[test]
    fn people_are_told_of_no_node_and_operators_of_all() {
        let (people, operators) = (to_people(&status()), to_operators(&status()));
        assert!(!format!("{people:?}").contains("origin"));
        assert_eq!((people.hands, people.live_since), (Some(2), Some(moment(1_798_135_200_250_000))));
        assert_eq!((operators.owner.as_str(), operators.mirror_ready), ("origin-a", Some(false)));
        assert_eq!(operators.last_takeover, Some(moment(1_798_135_214_000_000)));
    }

    #[test]
    fn what_the_owner_did_not_say_is_told_as_unknown() {
        let recorded = v1::RoomStatus { hands: None, lineage: 0, last_takeover_ms: 0, ..status() };
        let told = to_operators(&recorded);
        assert_eq!((told.hands, told.mirror_ready, told.lineage, told.slot), (None, None, None, None));
        assert_eq!((told.listeners, told.last_takeover, told.ended_at), (None, None, None));
    }
}
