//! What happens in the cluster, as it is printed. The JSON fields are a promise: they are added and never renamed.

use std::time::Duration;

use serde::Serialize;
use stentor_pace::WallTime;
use stentor_proto::{length_of, rfc3339, signed_micros_of, v1};

use super::plain;
use crate::time::{length, local_time, wall_time};

/// Widths of the node's and the room's column, for names as they usually are. A longer one shifts its line.
const NODE: usize = 12;
const ROOM: usize = 16;

/// Something that happened at a node.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Happening {
    /// By the node's clock.
    at: Option<String>,
    pub(crate) node: String,
    /// Empty if it concerns the node.
    room: String,
    #[serde(flatten)]
    pub(crate) what: What,
    #[serde(skip)]
    wall: WallTime,
}

/// What happened; `what` names the kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "what", rename_all = "snake_case")]
pub(crate) enum What {
    TakeOver {
        from: String,
        to: String,
        epoch: u64,
        from_slot: u64,
        planned: bool,
        took_ms: u64,
    },
    Lineage {
        from: u64,
        to: u64,
        leader: String,
        slot: u64,
    },
    Parent {
        parent: String,
        taken: bool,
        why: String,
    },
    Mirror {
        mirror: String,
        ready: bool,
    },
    Drain {
        draining: bool,
        waits_for: Vec<String>,
    },
    Membership {
        there: bool,
    },
    Missed {
        missed: u64,
    },
    Reach {
        reached: bool,
        why: String,
    },
    Clock {
        /// Negative if the node's clock is behind.
        ahead_ms: i64,
        off: bool,
        barred: bool,
    },
    Operator {
        name: String,
        call: String,
        target: String,
    },
    /// Told by a newer cluster.
    Unknown,
}

impl From<v1::Happening> for Happening {
    fn from(told: v1::Happening) -> Self {
        use v1::happening::What as Wire;
        let what = match told.what {
            Some(Wire::TakeOver(v1::TakeOver { from, to, epoch, from_slot, planned, took })) => {
                let took_ms = length_of(took).as_millis() as u64;
                What::TakeOver { from, to, epoch, from_slot, planned, took_ms }
            }
            Some(Wire::Lineage(v1::LineageChange { from, to, leader, slot })) => {
                What::Lineage { from, to, leader, slot }
            }
            Some(Wire::Parent(v1::ParentChange { parent, taken, why })) => {
                What::Parent { parent, taken, why }
            }
            Some(Wire::Mirror(v1::MirrorChange { mirror, ready })) => What::Mirror { mirror, ready },
            Some(Wire::Drain(v1::DrainChange { draining, waits_for })) => What::Drain { draining, waits_for },
            Some(Wire::Membership(v1::NodeChange { there })) => What::Membership { there },
            Some(Wire::Missed(missed)) => What::Missed { missed },
            Some(Wire::Reach(v1::ReachChange { reached, why })) => What::Reach { reached, why },
            Some(Wire::Clock(v1::ClockChange { ahead, off, barred })) => {
                What::Clock { ahead_ms: signed_micros_of(ahead) / 1000, off, barred }
            }
            Some(Wire::Operator(v1::OperatorCall { name, call, target })) => {
                What::Operator { name, call, target }
            }
            None => What::Unknown,
        };
        let wall = told.at.map(wall_time).unwrap_or_default();
        Self { at: told.at.map(rfc3339), wall, node: told.node, room: told.room, what }
    }
}

impl Happening {
    /// For people: when, where, of which room, what.
    pub(crate) fn line(&self) -> String {
        self.line_at(&local_time(self.wall.as_millis()))
    }

    fn line_at(&self, time: &str) -> String {
        let room = if self.room.is_empty() { "-" } else { &self.room };
        plain(&format!("{time}  {:NODE$}  {room:ROOM$}  {}", self.node, self.what.told()))
    }
}

impl What {
    fn told(&self) -> String {
        match self {
            Self::TakeOver { from, to, epoch, from_slot, planned: true, .. } => {
                format!("handed over by {from} to {to}, epoch {epoch}, slot {from_slot}")
            }
            Self::TakeOver { from, to, epoch, from_slot, took_ms, .. } => {
                let took = length(Duration::from_millis(*took_ms));
                format!("taken over by {to} from {from}, epoch {epoch}, slot {from_slot}, {took}")
            }
            Self::Lineage { from: 0, to, leader, slot } => {
                format!("mixed by {leader} from slot {slot} on, lineage {to}")
            }
            Self::Lineage { from, to, leader, slot } => {
                format!("mixed by {leader} from slot {slot} on, lineage {from} -> {to}")
            }
            Self::Parent { parent, taken: true, .. } => format!("comes from {parent}"),
            Self::Parent { parent, why, .. } => format!("no longer comes from {parent}{}", because(why)),
            Self::Mirror { mirror, .. } if mirror.is_empty() => "has no mirror".to_owned(),
            Self::Mirror { mirror, ready: true } => format!("mirrored by {mirror}, ready"),
            Self::Mirror { mirror, .. } => format!("mirrored by {mirror}, not ready"),
            Self::Drain { draining: false, .. } => "takes work again".to_owned(),
            Self::Drain { waits_for, .. } if waits_for.is_empty() => "is drained".to_owned(),
            Self::Drain { waits_for, .. } => format!("drains, waits for {}", waits_for.join(", ")),
            Self::Membership { there: true } => "is there".to_owned(),
            Self::Membership { .. } => "is gone".to_owned(),
            Self::Missed { missed: 1 } => "1 happening is not told: it came too fast".to_owned(),
            Self::Missed { missed } => format!("{missed} happenings are not told: they came too fast"),
            Self::Reach { reached: true, .. } => "is watched again".to_owned(),
            Self::Reach { why, .. } => format!("cannot be watched{}", because(why)),
            Self::Clock { off: false, .. } => "its clock is right again".to_owned(),
            Self::Clock { ahead_ms, barred, .. } => {
                let by = length(Duration::from_millis(ahead_ms.unsigned_abs()));
                let side = if *ahead_ms < 0 { "behind" } else { "ahead" };
                let claims = if *barred { "; it claims no rooms" } else { "" };
                format!("its clock is {by} {side}{claims}")
            }
            Self::Operator { name, call, target } if target.is_empty() => {
                format!("operator {name}: {}", call.replace('_', " "))
            }
            Self::Operator { name, call, target } => {
                format!("operator {name}: {} ({target})", call.replace('_', " "))
            }
            Self::Unknown => "something that this stentorctl is too old to know".to_owned(),
        }
    }
}

fn because(why: &str) -> String {
    if why.is_empty() { String::new() } else { format!(": {why}") }
}

#[cfg(test)]
mod tests {
    use stentor_proto::{moment, span};
    use v1::happening::What as Wire;

    use super::*;
    use crate::show::golden::golden;

    fn at(node: &str, room: &str, what: Option<Wire>) -> Happening {
        let (node, room) = (node.into(), room.into());
        Happening::from(v1::Happening { at: Some(moment(1_798_135_201_234_000)), node, room, what })
    }

    fn a_bad_day() -> Vec<Happening> {
        let (a, b) = (|| "origin-a".to_owned(), || "origin-b".to_owned());
        let mirror = |mirror, ready| Some(Wire::Mirror(v1::MirrorChange { mirror, ready }));
        let lineage =
            |from, to, leader, slot| Some(Wire::Lineage(v1::LineageChange { from, to, leader, slot }));
        let taken_over = |planned, took_ms| {
            let (from, to) = (a(), b());
            let took = (took_ms > 0).then(|| span(Duration::from_millis(took_ms)));
            Some(Wire::TakeOver(v1::TakeOver { from, to, epoch: 3, from_slot: 8123, planned, took }))
        };
        let parent = |taken, why: &str| {
            let (parent, why) = (a(), why.to_owned());
            Some(Wire::Parent(v1::ParentChange { parent, taken, why }))
        };
        let drain = |draining, waits: &[&str]| {
            let waits_for = waits.iter().map(ToString::to_string).collect();
            Some(Wire::Drain(v1::DrainChange { draining, waits_for }))
        };
        let reach = |reached, why: &str| Some(Wire::Reach(v1::ReachChange { reached, why: why.to_owned() }));
        let clock = |ahead, barred| {
            let ahead = Some(stentor_proto::signed_span(ahead));
            Some(Wire::Clock(v1::ClockChange { ahead, off: true, barred }))
        };
        let operator = |call: &str, target: &str| {
            let (name, call, target) = ("ann".into(), call.into(), target.into());
            Some(Wire::Operator(v1::OperatorCall { name, call, target }))
        };
        let node = |there| Some(Wire::Membership(v1::NodeChange { there }));
        vec![
            at("origin-a", "town-hall", lineage(0, 131_072, a(), 0)),
            at("origin-a", "town-hall", mirror(b(), false)),
            at("origin-a", "town-hall", mirror(b(), true)),
            at("origin-b", "town-hall", lineage(131_072, 131_073, b(), 8109)),
            at("relay-1", "town-hall", parent(false, "silent for 60 ms")),
            at("origin-b", "town-hall", taken_over(false, 420)),
            at("origin-b", "town-hall", mirror(String::new(), false)),
            at("origin-a", "", reach(false, "connection reset\nby peer")),
            at("origin-a", "", node(false)),
            at("origin-a", "", node(true)),
            at("origin-a", "", reach(true, "")),
            at("relay-1", "town-hall", parent(true, "")),
            at(
                "origin-a",
                "",
                drain(true, &["1 rooms that it owns", "40 connections of listeners and speakers"]),
            ),
            at("origin-b", "town-hall", taken_over(true, 0)),
            at("origin-a", "", drain(true, &[])),
            at("origin-a", "", drain(false, &[])),
            at("origin-b", "", clock(660_000_000, true)),
            at("relay-1", "", clock(-700_000, false)),
            at("relay-1", "", Some(Wire::Clock(v1::ClockChange::default()))),
            at("admin-1", "town-hall", operator("mute_participant", "ben")),
            at("admin-1", "town-hall", operator("end_room", "")),
            at("admin-1", "", operator("drain_node", "origin-a")),
            at("relay-1", "", Some(Wire::Missed(17))),
            at("relay-1", "", None),
        ]
    }

    #[test]
    fn what_happens_looks_as_it_is_meant_to() {
        let day = a_bad_day();
        let lines: Vec<_> = day.iter().map(|happening| happening.line_at("12:00:01.234")).collect();
        golden("watch.txt", &lines.join("\n"));
        let json: Vec<_> = day.iter().map(|happening| serde_json::to_string(happening).unwrap()).collect();
        golden("watch.jsonl", &json.join("\n"));
    }
}
