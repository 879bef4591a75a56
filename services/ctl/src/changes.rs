//! `stentorctl room watch`: rooms as they change.

use std::collections::BTreeMap;

use clap::Args;
use stentor_ids::RoomId;
use stentor_proto::v1::WatchRoomsRequest;

use crate::{
    admin::Admin,
    failure::Failure,
    options::Output,
    settings::Settings,
    show::{self, Room},
    time::local_time,
};

/// Until Ctrl-C.
#[derive(Debug, Args)]
pub(crate) struct Changes {
    /// Only this room, until it ends
    room: Option<RoomId>,
}

impl Changes {
    pub(crate) async fn run(self, settings: &Settings) -> Result<(), Failure> {
        tokio::select! {
            end = self.follow(settings) => end,
            _ = tokio::signal::ctrl_c() => Ok(()),
        }
    }

    async fn follow(&self, settings: &Settings) -> Result<(), Failure> {
        let mut admin = Admin::connect(settings).await?;
        let room = self.room.as_ref().map(ToString::to_string).unwrap_or_default();
        let answer = admin.client.watch_rooms(WatchRoomsRequest { room }).await;
        let mut rooms = admin.answer(answer)?;
        let mut known: BTreeMap<String, Room> = BTreeMap::new();
        while let Some(told) = rooms.message().await.map_err(|status| admin.failure(&status))? {
            let room = Room::from(told);
            let before = known.insert(room.room.clone(), room.clone());
            match settings.output {
                Output::Json => show::print(Output::Json, &room, String::new)?,
                Output::Table => {
                    let now = local_time(stentor_clock::wall().as_millis());
                    for change in changes(before.as_ref(), &room) {
                        show::say(&format!("{now}  {}  {change}", room.room));
                    }
                }
            }
        }
        Ok(())
    }
}

/// What is different, a line each.
fn changes(before: Option<&Room>, now: &Room) -> Vec<String> {
    let Some(before) = before else {
        let owner = if now.owner.is_empty() { String::new() } else { format!(" at {}", now.owner) };
        return vec![format!(
            "is {}{owner}, epoch {}, {} on the stage",
            now.lifecycle,
            now.epoch,
            now.stage.len()
        )];
    };
    let mut changes = Vec::new();
    if before.lifecycle != now.lifecycle {
        changes.push(format!("{} -> {}", before.lifecycle, now.lifecycle));
    }
    match (before.owner.as_str(), now.owner.as_str()) {
        (old, new) if old == new && before.epoch != now.epoch => {
            changes.push(format!("{new} claimed it again at epoch {}", now.epoch));
        }
        (old, new) if old == new => {}
        ("", new) => changes.push(format!("{new} has it at epoch {}", now.epoch)),
        (old, "") => changes.push(format!("{old} has lost it; nobody has it")),
        (old, new) => changes.push(format!("{old} -> {new} at epoch {}", now.epoch)),
    }
    if let Some(lineage) = now.lineage.filter(|_| before.lineage != now.lineage) {
        changes.push(format!("lineage {} -> {lineage}", before.lineage.unwrap_or_default()));
    }
    if before.mirror != now.mirror || before.mirror_ready != now.mirror_ready {
        changes.push(match now.mirror_ready {
            _ if now.mirror.is_empty() => "no mirror".to_owned(),
            None => format!("mirror {}", now.mirror),
            Some(true) => format!("mirror {}, ready", now.mirror),
            Some(false) => format!("mirror {}, not ready", now.mirror),
        });
    }
    changes.extend(stage_changes(before, now));
    if before.hands != now.hands {
        let told =
            |hands: Option<u32>| hands.map_or_else(|| "not known".to_owned(), |hands| hands.to_string());
        changes.push(format!("hands {} -> {}", told(before.hands), told(now.hands)));
    }
    changes
}

fn stage_changes(before: &Room, now: &Room) -> Vec<String> {
    let mut changes = Vec::new();
    for one in &now.stage {
        match before.stage.iter().find(|old| old.id == one.id) {
            None => changes.push(format!("{} is on the stage as {}", one.id, one.role)),
            Some(old) => {
                if old.role != one.role {
                    changes.push(format!("{} is {} now", one.id, one.role));
                }
                if old.gain_db != one.gain_db {
                    changes.push(format!("{} is at {} in the mix", one.id, show::gain(one.gain_db)));
                }
                if old.muted != one.muted {
                    changes.push(format!("{} is {}", one.id, if one.muted { "muted" } else { "unmuted" }));
                }
            }
        }
    }
    let gone = before.stage.iter().filter(|old| now.stage.iter().all(|one| one.id != old.id));
    changes.extend(gone.map(|old| format!("{} has left the stage", old.id)));
    changes
}

#[cfg(test)]
mod tests {
    use stentor_proto::v1::{self, Lifecycle};

    use super::*;

    fn room(lifecycle: Lifecycle, owner: &str, epoch: u64, stage: &[(&str, bool)]) -> Room {
        let participant = |(id, muted): &(&str, bool)| v1::Participant {
            id: (*id).into(),
            role: v1::Role::Speaker.into(),
            muted: *muted,
            ..v1::Participant::default()
        };
        Room::from(v1::Room {
            room: "r".into(),
            lifecycle: lifecycle.into(),
            owner: owner.into(),
            epoch,
            stage: stage.iter().map(participant).collect(),
            ..v1::Room::default()
        })
    }

    #[test]
    fn a_day_of_a_room_reads_as_it_happened() {
        let day = [
            room(Lifecycle::Scheduled, "", 0, &[]),
            room(Lifecycle::Open, "", 0, &[]),
            room(Lifecycle::Open, "a", 1, &[]),
            room(Lifecycle::Live, "a", 1, &[("ann", false), ("ben", false)]),
            room(Lifecycle::Live, "b", 2, &[("ann", true)]),
            room(Lifecycle::Live, "b", 3, &[("ann", true)]),
            room(Lifecycle::Ended, "", 3, &[]),
        ];
        let mut told = changes(None, &day[0]);
        told.extend(day.windows(2).flat_map(|pair| changes(Some(&pair[0]), &pair[1])));
        assert_eq!(
            told,
            [
                "is scheduled, epoch 0, 0 on the stage",
                "scheduled -> open",
                "a has it at epoch 1",
                "open -> live",
                "ann is on the stage as speaker",
                "ben is on the stage as speaker",
                "a -> b at epoch 2",
                "ann is muted",
                "ben has left the stage",
                "b claimed it again at epoch 3",
                "live -> ended",
                "b has lost it; nobody has it",
                "ann has left the stage",
            ]
        );
        assert!(changes(Some(&day[0]), &day[0]).is_empty());
    }
}
