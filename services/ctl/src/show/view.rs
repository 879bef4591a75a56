//! Rooms, participants and hands as they are printed. The JSON fields are a promise: they are added and never renamed.

use serde::Serialize;
use stentor_pace::WallTime;
use stentor_proto::{length_of, rfc3339, role_from_wire, v1};

use super::{fields, or_dash, table};
use crate::time::{length, wall_time};

/// A level above this is speech. Rooms are quiet around -70 dBov.
const SPEAKING: i32 = -50;

/// A room.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Room {
    pub(crate) room: String,
    title: String,
    visibility: &'static str,
    pub(crate) lifecycle: &'static str,
    /// Moments in UTC; null where there is none.
    starts_at: Option<String>,
    live_since: Option<String>,
    ended_at: Option<String>,
    /// Nodes; empty where there is none.
    pub(crate) owner: String,
    pub(crate) mirror: String,
    /// Null where there is no mirror. This, and what else is null, is not known where the owner does not answer.
    pub(crate) mirror_ready: Option<bool>,
    /// Which of the two mixes; empty while none does.
    leader: String,
    pub(crate) epoch: u64,
    /// Null while the room is not on the air.
    pub(crate) lineage: Option<u64>,
    slot: Option<u64>,
    /// Other than by plan; null if there was none, as far as the owner knows.
    last_takeover: Option<String>,
    stage_version: u64,
    stage_limit: u32,
    bitrate_bps: u32,
    pub(crate) stage: Vec<Participant>,
    /// Null where nobody owns the room, or the owner does not say.
    pub(crate) hands: Option<u32>,
    /// Null where nobody counts.
    listeners: Option<Listeners>,
    #[serde(skip)]
    last_takeover_at: Option<WallTime>,
}

/// How many listen, with how sure one is.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Listeners {
    count: u64,
    age_ms: u64,
    edges_reporting: u32,
    edges_known: u32,
    /// Slots that edges filled because nobody had them in time.
    slots_filled: u64,
}

/// A participant on the stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Participant {
    pub(crate) id: String,
    name: String,
    pub(crate) role: &'static str,
    pub(crate) muted: bool,
    pub(crate) gain_db: i32,
    /// Null where the owner does not say.
    connected: Option<bool>,
    level_dbov: Option<i32>,
}

/// A raised hand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Hand {
    id: String,
    name: String,
    raised_at: Option<String>,
}

impl From<v1::Room> for Room {
    fn from(told: v1::Room) -> Self {
        let spec = told.spec.clone().unwrap_or_default();
        Self {
            lifecycle: match told.lifecycle() {
                v1::Lifecycle::Unspecified => "unknown",
                v1::Lifecycle::Scheduled => "scheduled",
                v1::Lifecycle::Open => "open",
                v1::Lifecycle::Live => "live",
                v1::Lifecycle::Ended => "ended",
            },
            visibility: match spec.visibility() {
                v1::Visibility::Unspecified => "unknown",
                v1::Visibility::Public => "public",
                v1::Visibility::Private => "private",
            },
            room: told.room,
            title: spec.title,
            starts_at: spec.starts_at.map(rfc3339),
            live_since: told.live_since.map(rfc3339),
            ended_at: told.ended_at.map(rfc3339),
            owner: told.owner,
            mirror: told.mirror,
            mirror_ready: told.mirror_ready,
            leader: told.leader,
            epoch: told.epoch,
            lineage: told.lineage,
            slot: told.slot,
            last_takeover: told.last_takeover.map(rfc3339),
            last_takeover_at: told.last_takeover.map(wall_time),
            stage_version: told.stage_version,
            stage_limit: spec.stage_limit,
            bitrate_bps: spec.bitrate_bps,
            stage: told.stage.into_iter().map(Participant::from).collect(),
            hands: told.hands,
            listeners: told.listeners.map(|listeners| Listeners {
                count: listeners.count,
                age_ms: length_of(listeners.age).as_millis() as u64,
                edges_reporting: listeners.edges_reporting,
                edges_known: listeners.edges_known,
                slots_filled: listeners.slots_filled,
            }),
        }
    }
}

impl From<v1::Participant> for Participant {
    fn from(told: v1::Participant) -> Self {
        Self {
            role: role(told.role),
            id: told.id,
            name: told.name,
            muted: told.muted,
            gain_db: told.gain_db,
            connected: told.connected,
            level_dbov: told.level_dbov,
        }
    }
}

impl From<v1::Hand> for Hand {
    fn from(hand: v1::Hand) -> Self {
        Self { id: hand.id, name: hand.name, raised_at: hand.raised_at.map(rfc3339) }
    }
}

fn role(wire: i32) -> &'static str {
    role_from_wire(wire).ok().flatten().map_or("unknown", |role| role.as_str())
}

fn number(value: u64) -> String {
    if value == 0 { String::new() } else { value.to_string() }
}

impl Room {
    /// Many rooms, one a line.
    pub(crate) fn list(rooms: &[Self]) -> String {
        let row = |room: &Self| {
            [
                room.room.clone(),
                room.lifecycle.to_owned(),
                or_dash(&room.owner),
                or_dash(&room.mirror),
                room.epoch.to_string(),
                room.stage.len().to_string(),
                match &room.listeners {
                    Some(listeners) => listeners.count.to_string(),
                    None if room.is_silent() => "?".to_owned(),
                    None => "-".to_owned(),
                },
                room.title.clone(),
            ]
        };
        let heading = ["ROOM", "LIFECYCLE", "OWNER", "MIRROR", "EPOCH", "STAGE", "LISTENERS", "TITLE"];
        table(
            heading,
            rooms.iter().map(row).collect(),
            "no rooms; make one: stentorctl room create ROOM --live",
        )
    }

    /// One room, all of it, at this moment.
    pub(crate) fn details(&self, now: WallTime) -> String {
        let listeners = self.listeners.as_ref();
        let unknown = || if self.is_silent() { "not known".to_owned() } else { String::new() };
        let about = fields([
            ("room", self.room.clone()),
            ("title", self.title.clone()),
            ("lifecycle", self.lifecycle.to_owned()),
            ("starts", self.starts_at.clone().unwrap_or_default()),
            ("live since", self.live_since.clone().unwrap_or_default()),
            ("ended", self.ended_at.clone().unwrap_or_default()),
            ("heard by", if self.visibility == "public" { "everyone" } else { "ticket holders" }.to_owned()),
            ("owner", self.owner_now()),
            ("mirror", self.mirror_now()),
            ("leader", self.leader_now()),
            ("epoch", number(self.epoch)),
            ("lineage", number(self.lineage.unwrap_or_default())),
            ("slot", number(self.slot.unwrap_or_default())),
            ("slots filled", listeners.map_or_else(String::new, |them| them.slots_filled.to_string())),
            ("last take-over", self.last_takeover_before(now)),
            ("listeners", listeners.map_or_else(unknown, Listeners::told)),
            ("hands", self.hands.map_or_else(unknown, |hands| number(hands.into()))),
            ("bit rate", format!("{} kbit/s", f64::from(self.bitrate_bps) / 1000.0)),
            ("stage", format!("{} of {} places", self.stage.len(), self.stage_limit)),
        ]);
        if self.stage.is_empty() { about } else { format!("{about}\n\n{}", Participant::list(&self.stage)) }
    }

    /// Whether the room has an owner that has not told this.
    fn is_silent(&self) -> bool {
        !self.owner.is_empty() && self.hands.is_none()
    }

    fn owner_now(&self) -> String {
        if self.is_silent() { format!("{} (does not answer)", self.owner) } else { self.owner.clone() }
    }

    fn mirror_now(&self) -> String {
        match (self.owner.as_str(), self.mirror.as_str(), self.mirror_ready) {
            ("", "", _) => String::new(),
            (_, "", _) => "none".to_owned(),
            (_, mirror, None) => mirror.to_owned(),
            (_, mirror, Some(true)) => format!("{mirror} (ready)"),
            (_, mirror, Some(false)) => format!("{mirror} (not ready)"),
        }
    }

    fn leader_now(&self) -> String {
        match self.leader.as_str() {
            "" => String::new(),
            leader if leader == self.owner => format!("{leader} (the owner mixes)"),
            leader if leader == self.mirror => format!("{leader} (the mirror mixes)"),
            leader => leader.to_owned(),
        }
    }

    fn last_takeover_before(&self, now: WallTime) -> String {
        match (&self.last_takeover, self.last_takeover_at) {
            (Some(moment), Some(at)) => format!("{moment} ({} ago)", length(now.since(at))),
            _ if self.owner.is_empty() || self.is_silent() => String::new(),
            _ => "none known".to_owned(),
        }
    }
}

impl Listeners {
    fn told(&self) -> String {
        let (told, known, age) = (self.edges_reporting, self.edges_known, self.age_ms as f64 / 1000.0);
        format!("{} ({told} of {known} edges, {age:.1} s old)", self.count)
    }
}

/// A gain as people write it.
pub(crate) fn gain(decibels: i32) -> String {
    format!("{decibels:+} dB")
}

impl Participant {
    /// The stage, one participant a line.
    pub(crate) fn list(stage: &[Self]) -> String {
        let row = |one: &Self| {
            let level = match (one.connected, one.muted, one.level_dbov) {
                (None, _, _) => "?".to_owned(),
                (Some(false), _, _) => "away".to_owned(),
                (Some(true), true, _) => "muted".to_owned(),
                (Some(true), false, Some(level)) if level > SPEAKING => format!("speaks ({level} dB)"),
                (Some(true), false, _) => "silent".to_owned(),
            };
            [one.id.clone(), one.role.to_owned(), level, gain(one.gain_db), one.name.clone()]
        };
        table(
            ["PARTICIPANT", "ROLE", "NOW", "GAIN", "NAME"],
            stage.iter().map(row).collect(),
            "the stage is empty",
        )
    }
}

impl Hand {
    /// Raised hands, one a line.
    pub(crate) fn list(hands: &[Self]) -> String {
        let row =
            |hand: &Self| [hand.id.clone(), hand.raised_at.clone().unwrap_or_default(), hand.name.clone()];
        table(["PARTICIPANT", "SINCE", "NAME"], hands.iter().map(row).collect(), "no hand is raised")
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use stentor_proto::{moment, span};

    use super::*;
    use crate::show::golden::golden;

    fn room() -> Room {
        let participant = |id: &str, role: v1::Role, connected, level_dbov| v1::Participant {
            id: id.into(),
            name: format!("The {id}"),
            role: role.into(),
            muted: id == "ben",
            gain_db: if id == "cid" { 6 } else { 0 },
            connected: Some(connected),
            level_dbov: Some(level_dbov),
        };
        Room::from(v1::Room {
            room: "friday".into(),
            spec: Some(v1::RoomSpec {
                title: "Friday talk".into(),
                visibility: v1::Visibility::Public.into(),
                stage_limit: 20,
                bitrate_bps: 32_000,
                ..v1::RoomSpec::default()
            }),
            lifecycle: v1::Lifecycle::Live.into(),
            live_since: Some(moment(1_798_135_200_250_000)),
            owner: "origin-a".into(),
            mirror: "origin-b".into(),
            mirror_ready: Some(true),
            leader: "origin-a".into(),
            epoch: 3,
            lineage: Some(196_608),
            slot: Some(4711),
            last_takeover: Some(moment(1_798_135_214_000_000)),
            stage_version: 4,
            stage: vec![
                participant("ann", v1::Role::Host, true, -23),
                participant("ben", v1::Role::Speaker, true, -20),
                participant("cid", v1::Role::Speaker, true, -127),
                participant("dan", v1::Role::Cohost, false, -127),
            ],
            listeners: Some(v1::Listeners {
                count: 1234,
                age: Some(span(Duration::from_millis(1900))),
                edges_reporting: 2,
                edges_known: 2,
                slots_filled: 4,
            }),
            hands: Some(2),
            ..v1::Room::default()
        })
    }

    /// Its owner has just paused, and it had a new mirror then.
    fn in_trouble() -> Room {
        let mut room = room();
        (room.mirror_ready, room.leader) = (Some(false), "origin-b".into());
        (room.last_takeover, room.last_takeover_at) = (None, None);
        room.stage.clear();
        room
    }

    /// Its owner does not answer: all that is known is its record.
    fn silent() -> Room {
        let mut room = in_trouble();
        (room.mirror_ready, room.lineage, room.slot) = (None, None, None);
        (room.leader, room.listeners, room.hands) = (String::new(), None, None);
        let ann = v1::Participant { id: "ann".into(), role: v1::Role::Host.into(), ..Default::default() };
        room.stage.push(Participant::from(ann));
        room
    }

    fn scheduled() -> Room {
        Room::from(v1::Room {
            room: "later".into(),
            lifecycle: v1::Lifecycle::Scheduled.into(),
            ..v1::Room::default()
        })
    }

    #[test]
    fn rooms_look_as_they_are_meant_to() {
        golden("room_list.txt", &Room::list(&[room(), silent(), scheduled()]));
        golden("room_list_empty.txt", &Room::list(&[]));
        let now = WallTime::from_millis(1_798_135_940_000);
        golden("room_get.txt", &room().details(now));
        golden("room_get_trouble.txt", &in_trouble().details(now));
        golden("room_get_alone.txt", &Room { mirror: String::new(), ..in_trouble() }.details(now));
        golden("room_get_scheduled.txt", &scheduled().details(now));
        golden("room_get_silent.txt", &silent().details(now));
        golden("room_get_silent.json", &serde_json::to_string_pretty(&silent()).unwrap());
        golden("room_get.json", &serde_json::to_string_pretty(&room()).unwrap());
    }

    #[test]
    fn hands_look_as_they_are_meant_to() {
        let hand =
            v1::Hand { id: "eve".into(), name: "Eve".into(), raised_at: Some(moment(1_798_135_200_000_000)) };
        golden("hand_list.txt", &Hand::list(&[Hand::from(hand)]));
        golden("hand_list_empty.txt", &Hand::list(&[]));
    }
}
