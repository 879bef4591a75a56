//! HTTP/1.x at the edge, read and answered without a framework: every request is a short head without a body. Of the two
//! answers that last, a stream is handed to the fan-out engine with its socket, and a room's events are written by the
//! connection's own task.
//!
//! One request a connection: each answer says `connection: close`. Listeners need no second one, and what follows a head
//! never has to be told apart from the next.
//!
//! | path | methods | answer |
//! |---|---|---|
//! | `/v1/rooms/{room}` | GET HEAD OPTIONS | the room's state and how to join it, as JSON |
//! | `/v1/rooms/{room}/live.ogg?page=20..1000&pad=128..1024` | GET HEAD OPTIONS | an endless Ogg/Opus stream |
//! | `/v1/rooms/{room}/events` | GET HEAD OPTIONS | what happens to the room: an endless `text/event-stream`, see `events` |
//! | `/healthz`, `/readyz` | GET HEAD OPTIONS | whether the edge lives, and takes listeners |
//!
//! Everything else is a problem (RFC 9457).

mod answer;
mod events;
mod head;
mod room;
mod routes;

pub(crate) use answer::{encode, problem};
pub(crate) use head::{Head, MAX_HEAD_BYTES, read};
pub(crate) use routes::{Http, Outcome, Parts, Seat};
