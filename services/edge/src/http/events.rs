//! What happens to a room, as server-sent events (the HTML standard, section 9.2): for pages that play a room with an audio
//! element, which can be told nothing itself.
//!
//! | event | data, as JSON | when |
//! |---|---|---|
//! | `status` | the room, as at `/v1/rooms/{room}` | at once, and when it changes; not for a new count of listeners alone |
//! | `moved` | `url` of another edge, empty if there is none; `deadline_ms` to go within | the edge leaves |
//! | `ended` | `{}` | the room has ended; nothing follows |
//!
//! The connection ends without a word with the ticket, a ban, or the room's place on this edge: a browser comes back by
//! itself and is told why then. A client that takes nothing of what waits for it is dropped.
//!
//! Invariant: at most one batch of events waits for a client; what happens meanwhile is told as one change.

use std::{io, pin::Pin, time::Duration};

use bytes::Bytes;
use futures::future::OptionFuture;
use serde_json::json;
use stentor_link::Closed;
use stentor_proto::{length_of, told::to_people, v1};
use tokio::{
    io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt},
    sync::watch,
    time::{Instant, Sleep, interval_at, sleep, timeout},
};

use super::room;
use crate::{farewell::Hint, rooms::Audience};

/// How often something is sent to a client to whom nothing happens, so that what is between keeps the connection: half of
/// the shortest patience of common proxies.
const ALIVE: Duration = Duration::from_secs(15);
/// What is sent then: a comment.
const COMMENT: &[u8] = b":\n\n";
/// What a client says after its request is thrown away in such pieces.
const UNHEARD_BYTES: usize = 512;

/// Someone who follows a room's events.
pub(crate) struct Events {
    audience: Audience,
    hint: Hint,
    /// The answer's head.
    head: Bytes,
    /// This edge's URL.
    base: String,
    /// How long the client may take nothing.
    patience: Duration,
    news: watch::Receiver<Option<Closed>>,
    /// The room as last told, but for its listeners.
    told: Option<Seen>,
}

/// What a client can see of a room.
type Seen = (i32, i64, i64, Option<v1::RoomSpec>);

/// What is to be sent, and whether it is the last.
struct Batch {
    bytes: Vec<u8>,
    last: bool,
}

impl Events {
    pub(super) fn new(audience: Audience, hint: Hint, head: Bytes, base: String, patience: Duration) -> Self {
        let news = audience.on_air.news();
        Self { audience, hint, head, base, patience, news, told: None }
    }

    /// Serves the client until either has nothing more to say.
    pub(crate) async fn serve(mut self, mut socket: impl AsyncRead + AsyncWrite + Unpin) {
        let mut alive = interval_at(Instant::now() + ALIVE, ALIVE);
        let left = self.audience.claims.as_ref().map(|claims| claims.expires_at.since(stentor_clock::wall()));
        let mut expiry: OptionFuture<Pin<Box<Sleep>>> = left.map(|left| Box::pin(sleep(left))).into();
        let mut unheard = [0; UNHEARD_BYTES];
        self.news.mark_changed();
        let mut batch = Batch { bytes: Vec::from(self.head.clone()), last: false };
        loop {
            let sent = timeout(self.patience, send(&mut socket, &batch.bytes)).await;
            if batch.last || !matches!(sent, Ok(Ok(()))) {
                return;
            }
            batch = tokio::select! {
                Ok(()) = self.news.changed() => self.look(),
                to = self.hint.given() => {
                    Batch::of("moved", &json!({ "url": to.url, "deadline_ms": length_of(to.deadline).as_millis() as u64 }))
                }
                _ = alive.tick() => Batch { bytes: COMMENT.to_vec(), last: false },
                read = socket.read(&mut unheard) => Batch { bytes: Vec::new(), last: !matches!(read, Ok(1..)) },
                Some(()) = &mut expiry => Batch::end(),
            };
        }
    }

    /// What to tell of the room as it is now.
    fn look(&mut self) -> Batch {
        let closed = self.news.borrow_and_update().clone();
        let on_air = &self.audience.on_air;
        if self.audience.participant().is_some_and(|me| on_air.check_banned(me).is_err()) {
            return Batch::end();
        }
        let mut batch = on_air.current().map_or_else(Batch::nothing, |status| {
            let seen =
                Some((status.lifecycle, status.live_since_us, status.ended_at_ms, status.spec.clone()));
            if self.told == seen {
                return Batch::nothing();
            }
            self.told = seen;
            Batch::of("status", &room::tell(&to_people(&status), &self.base))
        });
        if closed == Some(Closed::Ended) {
            batch.bytes.extend(Batch::of("ended", &json!({})).bytes);
        }
        Batch { last: closed.is_some(), ..batch }
    }
}

impl std::fmt::Debug for Events {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Events({:?})", self.audience.on_air)
    }
}

impl Batch {
    fn nothing() -> Self {
        Self { bytes: Vec::new(), last: false }
    }

    fn end() -> Self {
        Self { bytes: Vec::new(), last: true }
    }

    /// One event. JSON has no line breaks of its own, so that its data is one line.
    fn of(event: &str, data: &impl serde::Serialize) -> Self {
        match serde_json::to_string(data) {
            Ok(data) => Self { bytes: format!("event: {event}\ndata: {data}\n\n").into(), last: false },
            Err(error) => {
                tracing::error!(%error, event, "an event cannot be written as JSON");
                Self::nothing()
            }
        }
    }
}

async fn send(socket: &mut (impl AsyncWrite + Unpin), bytes: &[u8]) -> io::Result<()> {
    if bytes.is_empty() {
        return Ok(());
    }
    socket.write_all(bytes).await?;
    socket.flush().await
}
