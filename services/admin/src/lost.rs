//! Rooms that the directory has forgotten: one that lost its data, or came back with an older state, is given back what this
//! node last saw of it. An admin node that has just started remembers nothing, and gives nothing back.
//!
//! Who runs a room puts it back himself; this is for rooms that nobody runs, the scheduled and the ended ones, and in the
//! end for those whose owner is gone too.
//!
//! Invariants: a room that is there is never written; one that was deleted, as far as this node saw, does not come back. So
//! any number of admin nodes may do this at once: they begin at different rooms, and each spares the others what it has done.

use std::{collections::BTreeMap, sync::Arc, time::Duration};

use stentor_directory::{Directory, Error, Map, Room, View};
use stentor_ids::RoomId;
use stentor_pace::Time;
use stentor_room::Record;
use stentor_telemetry::NodeMetrics;
use tokio::time::sleep;

/// How long a room that should have an owner is left to him. He has a new lease within seconds, and other origins leave it
/// to him for ten; a record without an owner before that would only invite them.
const OWNERS: Duration = Duration::from_secs(30);
/// Least time between two writes: 200 a second, a small part of what etcd takes, so that those who put back what is on the
/// air are not held up. Ten thousand rooms take a minute.
const PAUSE: Duration = Duration::from_millis(5);
/// When to look again while there are rooms that are left to their owners, or the directory does not answer.
const LOOK_AGAIN: Duration = Duration::from_millis(500);

/// Gives back what the directory loses, for as long as it is polled.
pub(crate) async fn put_back(directory: Directory, metrics: NodeMetrics) {
    let (mut view, mut missing) = (directory.view(), Missing::default());
    loop {
        let shown = view.wait_for(|view| view.current && !view.lost().is_empty()).await;
        let (known, mut due) = (missing.known(), missing.due(stentor_clock::now(), shown.lost()));
        if missing.known() > known {
            let (rooms, history) = (missing.known(), shown.history);
            tracing::warn!(
                rooms,
                history,
                "the directory has lost rooms; they are put back as they were last seen"
            );
        }
        drop(shown);
        if !due.is_empty() {
            let first = rand::random_range(0..due.len());
            due.rotate_left(first);
        }
        match put_all_back(&directory, &due, &metrics).await {
            Ok(0) => {}
            Ok(rooms) => tracing::info!(rooms, "rooms that the directory had lost are put back"),
            Err(error) => tracing::warn!(%error, "rooms that the directory has lost cannot be put back yet"),
        }
        sleep(LOOK_AGAIN).await;
    }
}

/// Gives how many it wrote; the others were there again.
async fn put_all_back(directory: &Directory, due: &[Arc<Room>], metrics: &NodeMetrics) -> Result<u64, Error> {
    let (view, mut wrote) = (directory.view(), 0);
    let is_lost = |view: &View, room: &Room| view.current && view.lost().contains_key(&room.id);
    for room in due {
        // Another admin node may have been faster, or the directory may be gone again.
        if !is_lost(&view.snapshot(), room) {
            continue;
        }
        if directory.put_back(room).await? {
            metrics.rooms_put_back().inc();
            wrote += 1;
        }
        sleep(PAUSE).await;
    }
    Ok(wrote)
}

/// When which of the lost rooms are to be put back. Pure: it is told what is lost and what time it is.
#[derive(Debug, Default)]
struct Missing(BTreeMap<RoomId, Time>);

impl Missing {
    fn known(&self) -> usize {
        self.0.len()
    }

    /// Those of the lost rooms that are to be put back now.
    fn due(&mut self, now: Time, lost: &Map<RoomId, Arc<Room>>) -> Vec<Arc<Room>> {
        self.0.retain(|room, _| lost.contains_key(room));
        let mut due = Vec::new();
        for (id, room) in lost {
            let at = *self.0.entry(id.clone()).or_insert_with(|| now + left_to_owner(room));
            if at <= now {
                due.push(room.clone());
            }
        }
        due
    }
}

/// How long a room is left to an owner. One that cannot be read may have one.
fn left_to_owner(room: &Room) -> Duration {
    match Record::decode(&room.record) {
        Ok(record) if !record.lifecycle().has_owner() => Duration::ZERO,
        _ => OWNERS,
    }
}

#[cfg(test)]
mod tests {
    use stentor_directory::Revision;
    use stentor_ids::Epoch;
    use stentor_pace::WallTime;
    use stentor_room::{Actor, Command, Spec};

    use super::*;

    fn room(name: &str, commands: &[Command]) -> (RoomId, Arc<Room>) {
        let id = RoomId::new(name).unwrap();
        let mut room = stentor_room::Room::new(Record::new(Spec::default()).unwrap());
        for command in commands {
            room.handle(WallTime::default(), &Actor::Operator, command.clone()).unwrap();
        }
        let record = room.record().encode().into();
        let (epoch, revision) = (Epoch(1), Revision(1));
        (
            id.clone(),
            Arc::new(Room { id, record, epoch, revision, owner: None, mirror: None, bids: Vec::new() }),
        )
    }

    #[test]
    fn who_has_no_owner_is_put_back_at_once_and_who_should_have_one_when_none_comes() {
        let mut lost: Map<_, _> = [
            room("planned", &[]),
            room("over", &[Command::Open, Command::End]),
            room("on-air", &[Command::Open, Command::GoLive]),
            room("open", &[Command::Open]),
        ]
        .into_iter()
        .collect();
        let (id, mut garbage) = room("garbage", &[]);
        Arc::make_mut(&mut garbage).record = "?".into();
        lost.insert(id, garbage);
        let mut missing = Missing::default();
        let mut due = |second: u64, lost: &Map<_, _>| {
            let due = missing.due(Time::from_millis(second * 1_000), lost);
            due.iter().map(|room| room.id.to_string()).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(due(100, &lost), "over planned");
        lost.remove(&RoomId::new("planned").unwrap());
        lost.remove(&RoomId::new("open").unwrap());
        assert_eq!(due(129, &lost), "over", "the directory did not take it");
        assert_eq!(due(130, &lost), "garbage on-air over");
        assert_eq!(due(131, &Map::default()), "");
        assert_eq!(due(200, &lost), "over", "lost once more");
    }
}
