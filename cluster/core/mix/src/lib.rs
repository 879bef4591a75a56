//! What turns the Opus packets of a room's speakers into the room's audio: one Opus packet of 20 ms a slot,
//! always.
//!
//! Pure and synchronous: no clock, no randomness, no runtime. The driver pushes packets as they come and
//! calls [`Mixer::tick`] once a slot; what a slot was made of comes out as a [`LogEntry`], and
//! [`Mixer::replay`] builds a mixer that goes on from such a log where another one stopped.
//!
//! | module    | knows                                                                 |
//! |-----------|-----------------------------------------------------------------------|
//! | `packet`  | the framing of Opus packets (RFC 6716)                                |
//! | `codec`   | libopus, and nobody else does                                         |
//! | `queue`   | a speaker's packets: order, repeats, streams, bounds                  |
//! | `pacer`   | how much earlier than needed they come, so how long to hold them back |
//! | `stretch` | making PCM longer or shorter unheard                                  |
//! | `player`  | steps in, PCM out: the part that a replay repeats                     |
//! | `voice`   | one speaker: queue, pacer and player; decides the steps               |
//! | `outlet`  | limiter, encoder, silence                                             |
//! | `mixer`   | the stage, the voices, the slot                                       |
//! | `history` | what a mirror keeps so that it can replay                             |
//! | `replays` | who of many mirrors replays when, and how much                        |

mod codec;
mod config;
mod history;
mod level;
mod limiter;
mod log;
mod mixer;
mod outlet;
mod pacer;
mod packet;
mod player;
mod queue;
mod replays;
mod stage;
mod stretch;
mod voice;

pub use codec::{BITRATES_BPS, CodecError, Decoder, Encoder, EncoderConfig, Rate};
pub use config::{Config, InvalidConfig};
pub use history::{HISTORY_SLOTS, History, NotReady, REPLAY_MIN_SLOTS};
pub use log::{LogEntry, PacketRef, Step, VoiceLog};
pub use mixer::{Mixer, ReplayError, SlotOutput, SlotStats, Talker};
pub use outlet::SILENCE;
pub use packet::{InvalidPacket, MAX_PACKET_BYTES, Packet};
pub use queue::{Push, SpeakerPacket};
pub use replays::{REPLAY_LEAST_SLOTS, Replays};
pub use stage::{Participant, Stage};
