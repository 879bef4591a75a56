//! The mix log: what each slot was made of, exact enough that a mirror can do it again.

use stentor_ids::{ParticipantId, Slot};

/// Names one packet of a known speaker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PacketRef {
    /// The speaker's connection.
    pub stream: u64,
    /// The packet's number in it.
    pub seq: u64,
}

/// One thing done to a speaker's audio while a slot was filled, in order. All of them add to the end of what
/// is decoded and not yet mixed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The packet was decoded.
    Packet(PacketRef),
    /// So many samples at 48 kHz were concealed (zeros where there is nothing to go on from).
    Conceal(u32),
    /// The packet before this one was lost; its in-band redundancy was decoded.
    Fec(PacketRef),
    /// Samples inserted (positive) or dropped (negative) to keep the speaker's clock in step with the room's.
    Drift(i32),
}

/// What one speaker gave to a slot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VoiceLog {
    /// Whose audio it is.
    pub participant: ParticipantId,
    /// Samples that were decoded for earlier slots and left for this one.
    pub carried: u32,
    /// What was done on top of them.
    pub steps: Vec<Step>,
}

/// What one slot was made of.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LogEntry {
    /// The slot.
    pub slot: Slot,
    /// The [`Stage`](crate::Stage) it was mixed under.
    pub stage_version: u64,
    /// Every speaker who was not at rest.
    pub voices: Vec<VoiceLog>,
}

impl LogEntry {
    /// The last packet of `who` that the slot took audio from.
    pub(crate) fn last_packet(&self, who: &ParticipantId) -> Option<PacketRef> {
        let voice = self.voices.iter().find(|voice| voice.participant == *who)?;
        voice.steps.iter().rev().find_map(|step| match *step {
            Step::Packet(packet) | Step::Fec(packet) => Some(packet),
            Step::Conceal(_) | Step::Drift(_) => None,
        })
    }
}
