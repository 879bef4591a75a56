//! A room as it is told over HTTP: its lifecycle, how many listen, and how to join. Pure.

use serde::Serialize;
use stentor_proto::{length_of, rfc3339, v1};

/// The JSON of `GET /v1/rooms/{room}`. Moments are RFC 3339 in UTC, and left out where there is none.
#[derive(Debug, Serialize)]
pub(super) struct Told<'a> {
    room: &'a str,
    title: &'a str,
    /// `scheduled`, `open`, `live` or `ended`.
    lifecycle: &'static str,
    visibility: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    starts_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    live_since: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    ended_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    listeners: Option<Listeners>,
    join: Join,
}

#[derive(Debug, Serialize)]
struct Listeners {
    count: u64,
    /// Age of the oldest part of the sum.
    age_ms: u64,
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
pub(super) fn tell<'a>(told: &'a v1::Room, base: &str) -> Told<'a> {
    let spec = told.spec.as_ref();
    Told {
        room: &told.room,
        title: spec.map_or("", |spec| &spec.title),
        lifecycle: match told.lifecycle() {
            v1::Lifecycle::Unspecified | v1::Lifecycle::Scheduled => "scheduled",
            v1::Lifecycle::Open => "open",
            v1::Lifecycle::Live => "live",
            v1::Lifecycle::Ended => "ended",
        },
        visibility: match spec.map(v1::RoomSpec::visibility) {
            Some(v1::Visibility::Public) => "public",
            _ => "private",
        },
        starts_at: spec.and_then(|spec| spec.starts_at).map(rfc3339),
        live_since: told.live_since.map(rfc3339),
        ended_at: told.ended_at.map(rfc3339),
        listeners: told.listeners.map(|listeners| Listeners {
            count: listeners.count,
            age_ms: length_of(listeners.age).as_millis() as u64,
            edges_reporting: listeners.edges_reporting,
            edges_known: listeners.edges_known,
        }),
        join: Join { ogg: format!("{base}/v1/rooms/{}/live.ogg", told.room), grpc: base.to_owned() },
    }
}
