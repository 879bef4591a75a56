//! Speakers of the rooms that run here, as links bring them. Packets go to the room's lanes and never near its actor.

use std::sync::Arc;

use async_trait::async_trait;
use stentor_ids::{Code, Fault, ParticipantId, Role, RoomId};
use stentor_link::uplink::{Attached, Ingest, IngestSession, Opened, Opening, Packet, Speaker};
use stentor_mix::SpeakerPacket;
use stentor_ownership::refusal::{mirrored_only, restarting};
use stentor_pace::Time;
use stentor_proto::{role_held, v1};
use stentor_room::{Actor, Command, Refusal};
use stentor_telemetry::{Packet as Outcome, Tier};

use crate::{
    HostHandle,
    command::Request,
    edges::Edge,
    hosted::Hosted,
    speakers::{Laned, MAX_SPEAKERS, Shut},
};

#[async_trait]
impl Ingest for HostHandle {
    async fn open(&self, opening: Opening) -> Result<Opened, Fault> {
        let Opening { room, edge, epoch, incarnation, mirror, edge_side } = opening;
        let hosted = if mirror { self.rooms.hosted(&room)? } else { self.running(&room)?.hosted };
        let this = hosted.published().record.incarnation();
        if this != 0 && incarnation != 0 && this != incarnation {
            let detail = format!("the room {room} that {edge} knows has ended; this one was made anew");
            return Err(Fault::new(Code::RoomEnded, detail));
        }
        let own = hosted.epoch();
        if own < epoch && !mirror {
            let detail = format!("{edge} has seen epoch {epoch} of room {room}; this owner's is {own}");
            return Err(Fault::new(Code::NotOwner, detail));
        }
        // The edge is known before the status is read, so that no change of the mirror comes in between.
        let edge = hosted.edges.add(edge_side);
        let session = Session { handle: self.clone(), hosted: hosted.clone(), edge };
        let status = hosted.feed.status().ok_or_else(|| restarting(&room))?;
        Ok(Opened { session: Arc::new(session), epoch: own, status })
    }
}

/// One edge's stream for one room.
struct Session {
    handle: HostHandle,
    hosted: Arc<Hosted>,
    edge: Edge,
}

impl Session {
    /// Brings a participant on the stage, if it is not there.
    async fn join(&self, by: Actor, participant: &ParticipantId) -> Result<(Role, bool), Fault> {
        let reply = self.handle.request(&self.hosted.id, by, Request::Do(Command::Join)).await?;
        on_stage(reply.room.as_ref(), participant)
    }

    /// The same at the mirror, which brings nobody on the stage, and takes the packets of those whom the owner did.
    fn seen(&self, participant: &ParticipantId, stream: u64) -> Result<(Role, bool), Fault> {
        if stream == 0 {
            return Err(mirrored_only(&self.hosted.id, &self.hosted.owner().node));
        }
        on_stage(self.hosted.feed.status().as_deref(), participant)
    }
}

#[async_trait]
impl IngestSession for Session {
    async fn attach(&self, speaker: Speaker, stream: u64) -> Result<Attached, Fault> {
        let Speaker { participant, name, role, monitor } = speaker;
        let by = Actor::Participant { id: participant.clone(), name, role };
        let (role, muted) = if self.hosted.is_owned() {
            self.join(by, &participant).await?
        } else {
            self.seen(&participant, stream)?
        };
        let stream = self
            .hosted
            .speakers
            .attach(&participant, stream, monitor, self.edge.clone(), stentor_clock::wall())
            .map_err(|shut| refusal(shut, &self.hosted.id, &participant))?;
        self.handle.connections_changed(&self.hosted);
        Ok(Attached { stream, role, muted })
    }

    fn packet(&self, packet: Packet) {
        if let Some(outcome) = lane(&self.hosted, self.handle.now(), packet) {
            self.handle.metrics().uplink_packets(Tier::Origin, outcome).inc();
        }
    }

    fn detach(&self, participant: &ParticipantId, stream: u64) {
        if self.hosted.speakers.detach(participant, stream) {
            self.handle.connections_changed(&self.hosted);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        self.hosted.edges.remove(&self.edge);
        self.hosted.speakers.retain(|edge| !edge.is(&self.edge));
        self.handle.connections_changed(&self.hosted);
    }
}

/// Puts a packet into its speaker's lane. Returns what to count, if its end is known here already.
fn lane(hosted: &Hosted, now: Time, packet: Packet) -> Option<Outcome> {
    let Packet { participant, stream, seq, opus, captured } = packet;
    let Ok(packet) = stentor_mix::Packet::parse(opus) else { return Some(Outcome::Invalid) };
    match hosted.speakers.push(now, &participant, SpeakerPacket { stream, seq, packet, captured }) {
        Laned::Taken => None,
        Laned::Dropped => Some(Outcome::Dropped),
        Laned::Stale => Some(Outcome::Stale),
        Laned::Unknown => Some(Outcome::Forbidden),
    }
}

/// The role and mute of a participant that is on the stage.
fn on_stage(room: Option<&v1::RoomStatus>, participant: &ParticipantId) -> Result<(Role, bool), Fault> {
    let stage = room.map_or(&[][..], |room| &room.stage);
    let found = stage.iter().find(|one| one.id == participant.as_str());
    let found = found.ok_or_else(|| Fault::from(Refusal::NotOnStage(participant.clone())))?;
    Ok((role_held(found.role).unwrap_or(Role::Speaker), found.muted))
}

fn refusal(shut: Shut, room: &RoomId, participant: &ParticipantId) -> Fault {
    match shut {
        Shut::Full => Fault::new(
            Code::Overloaded,
            format!(
                "{MAX_SPEAKERS} speakers are connected to room {room} already; try again when some have gone"
            ),
        ),
        Shut::Absurd => Fault::new(
            Code::InvalidArgument,
            format!(
                "{participant} brings a stream to room {room} that nobody can have given; connect without one"
            ),
        ),
        Shut::Replaced => Fault::new(
            Code::WrongState,
            format!("a newer connection of {participant} speaks in room {room}; close one of them"),
        ),
    }
}
