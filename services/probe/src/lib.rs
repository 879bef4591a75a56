//! A client that speaks and listens: for the command line, for tests, for canaries.
//!
//! A [`Speaker`] plays a [`Source`] into a room in real time; a [`Listener`] keeps a record of every slot it is given and
//! can hand the audio to a [`Sink`]. Both talk gRPC to one of a list of edges, come back after a broken connection, and
//! follow an edge that sends them elsewhere. The crate knows nothing of the cluster behind the edge.
//!
//! | module       | knows                                                     |
//! |--------------|-----------------------------------------------------------|
//! | `line`       | which edge, how to connect, when to try again or give up  |
//! | `source`     | Ogg/Opus and WAV in, Opus packets out                     |
//! | `pacer`      | when a packet is due                                      |
//! | `microphone` | a source in real time                                     |
//! | `call`       | one `Speak` call                                          |
//! | `speaker`    | a source into a room, over one call after another         |
//! | `record`     | what a listener was given                                 |
//! | `report`     | the same in short                                         |
//! | `listener`   | the `Listen` call                                         |
//! | `sink`       | heard packets as an Ogg/Opus file or as PCM               |

mod call;
mod error;
mod line;
mod listener;
mod microphone;
mod pacer;
mod record;
mod report;
mod sink;
mod source;
mod speaker;

pub use error::Error;
pub use line::{Patience, Target};
pub use listener::{ListenConfig, ListenEnd, ListenHandle, Listener};
pub use record::{Heard, Recorder, Verdict};
pub use report::{Change, Gap, Latency, Report};
pub use sink::{OggSink, Pcm, Sink};
pub use source::{Source, SourceError};
pub use speaker::{SpeakConfig, SpeakEnd, SpeakHandle, SpeakReport, Speaker};
