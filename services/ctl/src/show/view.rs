//! Rooms, seats and hands as they are printed. The JSON fields are a promise: they are added and never renamed.

use serde::Serialize;
use stentor_pace::WallTime;
use stentor_proto::{role_from_wire, v1};

use super::{fields, or_dash, table};
use crate::time::{length, moment, moment_ms};

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
    pub(crate) primary: String,
    pub(crate) mirror: String,
    pub(crate) mirror_ready: bool,
    /// Which of the two mixes; empty while none does.
    leader: String,
    pub(crate) epoch: u64,
    pub(crate) lineage: u64,
    slot: u64,
    /// Other than by plan; null if there was none, as far as the owner knows.
    last_takeover: Option<String>,
    stage_version: u64,
    stage_limit: u32,
    bitrate_bps: u32,
    pub(crate) stage: Vec<Seat>,
    pub(crate) hands: u32,
    /// Null where nobody counts.
    listeners: Option<Listeners>,
    #[serde(skip)]
    last_takeover_at: Option<WallTime>,
}

/// How many listen, with how sure one is.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct Listeners {
    count: u64,
    age_ms: u32,
    edges_reporting: u32,
    edges_known: u32,
    /// Slots that edges filled because nobody had them in time.
    slots_filled: u64,
}

/// A seat on the stage.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Seat {
    pub(crate) id: String,
    name: String,
    pub(crate) role: &'static str,
    pub(crate) muted: bool,
    gain_db: f32,
    connected: bool,
    level_dbov: i32,
}

/// A raised hand.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Hand {
    id: String,
    name: String,
    raised_at: Option<String>,
}

impl From<v1::RoomStatus> for Room {
    fn from(status: v1::RoomStatus) -> Self {
        let spec = status.spec.clone().unwrap_or_default();
        Self {
            lifecycle: match status.lifecycle() {
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
            room: status.room,
            title: spec.title,
            starts_at: moment_ms(spec.starts_at_ms),
            live_since: moment(status.live_since_us),
            ended_at: moment_ms(status.ended_at_ms),
            primary: status.primary,
            mirror: status.mirror,
            mirror_ready: status.mirror_ready,
            leader: status.leader,
            epoch: status.epoch,
            lineage: status.lineage,
            slot: status.slot,
            last_takeover: moment_ms(status.last_takeover_ms),
            last_takeover_at: wall_time(status.last_takeover_ms),
            stage_version: status.stage_version,
            stage_limit: spec.stage_limit,
            bitrate_bps: spec.bitrate_bps,
            stage: status.stage.into_iter().map(Seat::from).collect(),
            hands: status.hands,
            listeners: status.count.map(|count| Listeners {
                count: count.listeners,
                age_ms: count.age_ms,
                edges_reporting: count.edges_reporting,
                edges_known: count.edges_known,
                slots_filled: count.slots_filled,
            }),
        }
    }
}

impl From<v1::Participant> for Seat {
    fn from(seat: v1::Participant) -> Self {
        Self {
            role: role(seat.role),
            id: seat.id,
            name: seat.name,
            muted: seat.muted,
            gain_db: seat.gain_db,
            connected: seat.connected,
            level_dbov: seat.level_dbov,
        }
    }
}

impl From<v1::Hand> for Hand {
    fn from(hand: v1::Hand) -> Self {
        Self { id: hand.id, name: hand.name, raised_at: moment_ms(hand.raised_at_ms) }
    }
}

fn role(wire: i32) -> &'static str {
    role_from_wire(wire).ok().flatten().map_or("unknown", |role| role.as_str())
}

/// A moment of the wire, where 0 says that there is none.
fn wall_time(millis: i64) -> Option<WallTime> {
    u64::try_from(millis).ok().filter(|millis| *millis > 0).map(WallTime::from_millis)
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
                or_dash(&room.primary),
                or_dash(&room.mirror),
                room.epoch.to_string(),
                room.stage.len().to_string(),
                room.listeners
                    .as_ref()
                    .map_or_else(|| "-".to_owned(), |listeners| listeners.count.to_string()),
                room.title.clone(),
            ]
        };
        let heading = ["ROOM", "STATE", "PRIMARY", "MIRROR", "EPOCH", "STAGE", "LISTENERS", "TITLE"];
        table(
            heading,
            rooms.iter().map(row).collect(),
            "no rooms; make one: stentorctl room create ROOM --live",
        )
    }

    /// One room, all of it, at this moment.
    pub(crate) fn details(&self, now: WallTime) -> String {
        let listeners = self.listeners.as_ref();
        let about = fields([
            ("room", self.room.clone()),
            ("title", self.title.clone()),
            ("state", self.lifecycle.to_owned()),
            ("starts", self.starts_at.clone().unwrap_or_default()),
            ("live since", self.live_since.clone().unwrap_or_default()),
            ("ended", self.ended_at.clone().unwrap_or_default()),
            ("heard by", if self.visibility == "public" { "everyone" } else { "ticket holders" }.to_owned()),
            ("primary", self.primary.clone()),
            ("mirror", self.mirror_now()),
            ("leader", self.leader_now()),
            ("epoch", number(self.epoch)),
            ("lineage", number(self.lineage)),
            ("slot", number(self.slot)),
            ("slots filled", listeners.map_or_else(String::new, |them| them.slots_filled.to_string())),
            ("last take-over", self.last_takeover_before(now)),
            ("listeners", listeners.map_or_else(String::new, Listeners::told)),
            ("hands", number(self.hands.into())),
            ("bit rate", format!("{} kbit/s", f64::from(self.bitrate_bps) / 1000.0)),
            ("stage", format!("{} of {} seats", self.stage.len(), self.stage_limit)),
        ]);
        if self.stage.is_empty() { about } else { format!("{about}\n\n{}", Seat::list(&self.stage)) }
    }

    fn mirror_now(&self) -> String {
        match (self.primary.as_str(), self.mirror.as_str(), self.mirror_ready) {
            ("", "", _) => String::new(),
            (_, "", _) => "none".to_owned(),
            (_, mirror, true) => format!("{mirror} (ready)"),
            (_, mirror, false) => format!("{mirror} (not ready)"),
        }
    }

    fn leader_now(&self) -> String {
        match self.leader.as_str() {
            "" => String::new(),
            leader if leader == self.primary => format!("{leader} (the primary mixes)"),
            leader if leader == self.mirror => format!("{leader} (the mirror mixes)"),
            leader => leader.to_owned(),
        }
    }

    fn last_takeover_before(&self, now: WallTime) -> String {
        match (&self.last_takeover, self.last_takeover_at) {
            (Some(moment), Some(at)) => format!("{moment} ({} ago)", length(now.since(at))),
            _ if self.primary.is_empty() => String::new(),
            _ => "none known".to_owned(),
        }
    }
}

impl Listeners {
    fn told(&self) -> String {
        let (told, known, age) = (self.edges_reporting, self.edges_known, f64::from(self.age_ms) / 1000.0);
        format!("{} ({told} of {known} edges, {age:.1} s old)", self.count)
    }
}

impl Seat {
    /// The stage, one seat a line.
    pub(crate) fn list(stage: &[Self]) -> String {
        let row = |seat: &Self| {
            let level = match (seat.connected, seat.muted, seat.level_dbov) {
                (false, _, _) => "away".to_owned(),
                (true, true, _) => "muted".to_owned(),
                (true, false, level) if level > SPEAKING => format!("speaks ({level} dB)"),
                (true, false, _) => "silent".to_owned(),
            };
            [seat.id.clone(), seat.role.to_owned(), level, seat.name.clone()]
        };
        table(["PARTICIPANT", "ROLE", "NOW", "NAME"], stage.iter().map(row).collect(), "the stage is empty")
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
    use super::*;
    use crate::show::golden::golden;

    fn room() -> Room {
        let seat = |id: &str, role: v1::Role, connected, level_dbov| v1::Participant {
            id: id.into(),
            name: format!("The {id}"),
            role: role.into(),
            muted: id == "ben",
            gain_db: 0.0,
            connected,
            level_dbov,
        };
        Room::from(v1::RoomStatus {
            room: "friday".into(),
            spec: Some(v1::RoomSpec {
                title: "Friday talk".into(),
                visibility: v1::Visibility::Public.into(),
                stage_limit: 20,
                bitrate_bps: 32_000,
                ..v1::RoomSpec::default()
            }),
            lifecycle: v1::Lifecycle::Live.into(),
            live_since_us: 1_798_135_200_250_000,
            primary: "origin-a".into(),
            mirror: "origin-b".into(),
            mirror_ready: true,
            leader: "origin-a".into(),
            epoch: 3,
            lineage: 196_608,
            slot: 4711,
            last_takeover_ms: 1_798_135_214_000,
            stage_version: 4,
            stage: vec![
                seat("ann", v1::Role::Host, true, -23),
                seat("ben", v1::Role::Speaker, true, -20),
                seat("cid", v1::Role::Speaker, true, -127),
                seat("dan", v1::Role::Cohost, false, -127),
            ],
            count: Some(v1::ListenerCount {
                listeners: 1234,
                age_ms: 1900,
                edges_reporting: 2,
                edges_known: 2,
                slots_filled: 4,
            }),
            hands: 2,
            ..v1::RoomStatus::default()
        })
    }

    /// Its primary has just paused, and it had a new mirror then.
    fn in_trouble() -> Room {
        let mut room = room();
        (room.mirror_ready, room.leader) = (false, "origin-b".into());
        (room.last_takeover, room.last_takeover_at) = (None, None);
        room.stage.clear();
        room
    }

    fn scheduled() -> Room {
        Room::from(v1::RoomStatus {
            room: "later".into(),
            lifecycle: v1::Lifecycle::Scheduled.into(),
            ..v1::RoomStatus::default()
        })
    }

    #[test]
    fn rooms_look_as_they_are_meant_to() {
        golden("room_list.txt", &Room::list(&[room(), scheduled()]));
        golden("room_list_empty.txt", &Room::list(&[]));
        let now = WallTime::from_millis(1_798_135_940_000);
        golden("room_get.txt", &room().details(now));
        golden("room_get_trouble.txt", &in_trouble().details(now));
        golden("room_get_alone.txt", &Room { mirror: String::new(), ..in_trouble() }.details(now));
        golden("room_get_scheduled.txt", &scheduled().details(now));
        golden("room_get.json", &serde_json::to_string_pretty(&room()).unwrap());
    }

    #[test]
    fn who_is_banned_is_not_printed() {
        let json = serde_json::to_string(&room()).unwrap();
        assert!(!json.contains("mallory") && !room().details(WallTime::default()).contains("mallory"));
    }

    #[test]
    fn hands_look_as_they_are_meant_to() {
        let hand = v1::Hand { id: "eve".into(), name: "Eve".into(), raised_at_ms: 1_798_135_200_000 };
        golden("hand_list.txt", &Hand::list(&[Hand::from(hand)]));
        golden("hand_list_empty.txt", &Hand::list(&[]));
    }
}
