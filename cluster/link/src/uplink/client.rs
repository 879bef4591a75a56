//! The edge's side: speakers come in here, and their packets go to both origins of their room, wherever these are.

use std::{
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use bytes::Bytes;
use parking_lot::Mutex;
use stentor_ids::{Code, Fault, NodeId, ParticipantId, Role, RoomId};
use stentor_pace::WallTime;
use stentor_proto::v1;
use stentor_telemetry::{NodeMetrics, Packet, Tier};
use tokio::sync::mpsc;

use super::{
    Attached, Speaker, SpeakerEvent,
    attachment::{Attachment, SessionSide},
    lane::Lane,
    link::Link,
    queue::MAX_SPEAKERS,
    shared::Inner,
};
use crate::{Locator, Pool, Topology};

/// How long it may take to be brought on the stage; a room whose owner is being replaced has a new one within that.
const ATTACH_WITHIN: Duration = Duration::from_secs(5);
/// The uplinks of an edge. Clones share them.
#[derive(Clone)]
pub struct Uplinks(Arc<Inner>);

impl Uplinks {
    /// No uplink yet, for the edge `me`.
    #[must_use]
    pub fn new(
        me: NodeId,
        pool: Pool,
        locator: Locator,
        topology: Arc<dyn Topology>,
        metrics: NodeMetrics,
    ) -> Self {
        let (rooms, speakers) = (Mutex::default(), AtomicU64::new(0));
        Self(Arc::new(Inner { me, pool, locator, topology, metrics, rooms, speakers }))
    }

    /// Brings a speaker on the stage, by the room's owner. An attachment that the participant has at this edge already
    /// is lost to the new one. With a stream to `resume`, which must be higher than any that the participant spoke
    /// under, either origin may take it, and packets go to the mirror before the owner has answered.
    ///
    /// # Errors
    /// The owner's refusal, or `NoOwner` if nobody answered within 5 s.
    pub async fn attach(
        &self,
        room: &RoomId,
        speaker: Speaker,
        resume: Option<u64>,
    ) -> Result<SpeakerSession, Fault> {
        let participant = speaker.participant.clone();
        let lane = self.lane(room)?;
        let held = Held { id: self.0.speakers.fetch_add(1, Ordering::Relaxed), lane };
        let (attachment, SessionSide { answer, events }) = Attachment::new(held.id, speaker, resume);
        held.lane.arrive(attachment);
        let no_owner = || {
            let detail = format!("no owner of {room} has answered yet; try again");
            Fault::new(Code::NoOwner, detail).retry_after(Duration::from_secs(1))
        };
        match tokio::time::timeout(ATTACH_WITHIN, answer).await {
            Ok(Ok(attached)) => Ok(SpeakerSession { participant, attached: attached?, held, events }),
            Ok(Err(_)) | Err(_) => Err(no_owner()),
        }
    }

    /// The room's lane with one more user, and its task begun if it is new.
    fn lane(&self, room: &RoomId) -> Result<Arc<Lane>, Fault> {
        let mut rooms = self.0.rooms.lock();
        let lane = rooms.entry(room.clone()).or_insert_with(|| {
            let dropped = self.0.metrics.uplink_packets(Tier::Edge, Packet::Dropped).clone();
            let lane = Arc::new(Lane::new(dropped));
            Link::begin(self.0.clone(), room.clone(), lane.clone());
            lane
        });
        if lane.join() {
            return Ok(lane.clone());
        }
        let detail = format!("{MAX_SPEAKERS} speakers of {room} are at this edge, as many as there may be");
        Err(Fault::new(Code::Overloaded, detail).retry_after(Duration::from_secs(10)))
    }
}

/// A place in a lane; dropping it gives the place up.
struct Held {
    id: u64,
    lane: Arc<Lane>,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.lane.leave(self.id);
    }
}

/// A speaker's attachment, kept over changes of the room's origins. Dropping it ends it.
pub struct SpeakerSession {
    participant: ParticipantId,
    attached: Attached,
    held: Held,
    events: mpsc::Receiver<SpeakerEvent>,
}

impl SpeakerSession {
    /// The role that was given.
    #[must_use]
    pub const fn role(&self) -> Role {
        self.attached.role
    }

    /// Whether the speaker was muted when it came in.
    #[must_use]
    pub const fn muted(&self) -> bool {
        self.attached.muted
    }

    /// The stream number that the connection speaks under. Another connection resumes under a higher one.
    #[must_use]
    pub fn stream(&self) -> u64 {
        self.held.lane.stream(self.held.id).max(self.attached.stream)
    }

    /// Sends a packet on its way to both origins. Never waits: beyond 200 ms of packets the oldest go.
    pub fn send(&self, seq: u64, opus: Bytes, captured: WallTime) {
        let participant = self.participant.to_string();
        let captured_us = captured.as_micros();
        self.held.lane.send(
            self.held.id,
            // The stream is stamped when the packet leaves.
            v1::SpeakerPacket { participant, stream: 0, seq, opus, captured_us },
        );
    }

    /// What the owner says. Bounded: monitor frames that nobody takes are let go. Ends after `Ended` and `Lost`.
    pub const fn events(&mut self) -> &mut mpsc::Receiver<SpeakerEvent> {
        &mut self.events
    }
}
