//! A room as it is told over HTTP: its state, how many listen, and how to join. Pure.

use serde::Serialize;
use stentor_proto::v1;

/// The JSON of `GET /v1/rooms/{room}`. Times are milliseconds since the Unix epoch.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    room: &'a str,
    title: &'a str,
    /// `scheduled`, `open`, `live` or `ended`.
    state: &'static str,
    visibility: &'static str,
    #[serde(skip_serializing_if = "is_zero")]
    starts_at_ms: i64,
    #[serde(skip_serializing_if = "is_zero")]
    live_since_ms: i64,
    #[serde(skip_serializing_if = "is_zero")]
    ended_at_ms: i64,
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<Listeners>,
    join: Join,
}

#[derive(Debug, Serialize)]
struct Listeners {
    count: u64,
    /// Age of the oldest part of the sum.
    age_ms: u32,
    edges_reporting: u32,
    edges_known: u32,
}

/// Where to join, by protocol.
#[derive(Debug, Serialize)]
struct Join {
    /// For any player, and a browser's audio element.
    ogg: String,
    /// For native clients: `stentor.v1.ListenService` and `stentor.v1.SpeakService`.
    grpc: String,
}

/// Tells a room; `base` is this edge's URL, without a slash at the end.
pub(super) fn tell<'a>(status: &'a v1::RoomStatus, base: &str) -> Told<'a> {
    let spec = status.spec.as_ref();
    Told {
        room: &status.room,
        title: spec.map_or("", |spec| &spec.title),
        state: match status.lifecycle() {
            v1::Lifecycle::Unspecified | v1::Lifecycle::Scheduled => "scheduled",
            v1::Lifecycle::Open => "open",
            v1::Lifecycle::Live => "live",
            v1::Lifecycle::Ended => "ended",
        },
        visibility: match spec.map(v1::RoomSpec::visibility) {
            Some(v1::Visibility::Public) => "public",
            _ => "private",
        },
        starts_at_ms: spec.map_or(0, |spec| spec.starts_at_ms),
        live_since_ms: status.live_since_us / 1000,
        ended_at_ms: status.ended_at_ms,
        listeners: status.count.map(|count| Listeners {
            count: count.listeners,
            age_ms: count.age_ms,
            edges_reporting: count.edges_reporting,
            edges_known: count.edges_known,
        }),
        join: Join { ogg: format!("{base}/v1/rooms/{}/live.ogg", status.room), grpc: base.to_owned() },
    }
}

fn is_zero(number: &i64) -> bool {
    *number == 0
}
