//! Who speaks in a room, and what.

use std::{fs::File, path::Path, sync::Arc};

use bytes::Bytes;
use stentor_clock::wall;
use stentor_directory::NodeRole;
use stentor_host::Topology;
use stentor_ids::{NodeId, Role, RoomId};
use stentor_link::{
    Locator,
    uplink::{Speaker, SpeakerSession, Uplinks},
};
use stentor_mix::Packet;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::task::AbortOnDropHandle;

use crate::cluster::{Cluster, who};

impl Cluster {
    /// Somewhere to speak: what an edge brings its speakers to origins by.
    ///
    /// # Panics
    /// The name is none.
    #[must_use]
    pub fn uplinks(&self, name: &str) -> Uplinks {
        let me = NodeId::new(name).unwrap();
        let (pool, metrics) = (self.pool(name), self.metrics.for_node(&me));
        let topology = Arc::new(Topology::new(self.directory.view(), NodeRole::Edge.into()));
        let locator = Locator::new(me.clone(), pool.clone(), topology.clone());
        Uplinks::new(me, pool, locator, topology, metrics)
    }
}

/// A speaker, who is given the room without itself if it is to monitor it.
///
/// # Panics
/// The name is none.
#[must_use]
pub fn speaker(name: &str, monitor: bool) -> Speaker {
    Speaker { participant: who(name), name: name.to_owned(), role: Role::Speaker, monitor }
}

/// Goes on the stage as a speaker.
///
/// # Panics
/// It is refused.
pub async fn speak(edge: &Uplinks, room: &RoomId, name: &str, monitor: bool) -> SpeakerSession {
    edge.attach(room, speaker(name, monitor), None).await.unwrap()
}

/// The packets of one of the demo's voices.
///
/// # Panics
/// There is none of that name.
#[must_use]
pub fn voice(name: &str) -> Vec<Bytes> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../services/node/demo").join(name);
    let mut reader = ogg::PacketReader::new(File::open(path).unwrap());
    let mut packets = Vec::new();
    while let Some(packet) = reader.read_packet().unwrap() {
        packets.push(Bytes::from(packet.data));
    }
    // The first two are the headers (RFC 7845).
    packets.split_off(2)
}

/// Speaks a voice in real time, over and over, for as long as the handle lives.
///
/// # Panics
/// It is none.
pub fn talk(session: SpeakerSession, packets: Vec<Bytes>) -> AbortOnDropHandle<()> {
    talk_from(0, session, packets)
}

/// The same, from this number of its packets on.
///
/// # Panics
/// It is none.
pub fn talk_from(first: u64, session: SpeakerSession, packets: Vec<Bytes>) -> AbortOnDropHandle<()> {
    let packet = Packet::parse(packets[0].clone()).unwrap();
    AbortOnDropHandle::new(tokio::spawn(async move {
        let mut beat = interval(packet.duration());
        beat.set_missed_tick_behavior(MissedTickBehavior::Burst);
        for (seq, packet) in (first..).zip(packets.into_iter().cycle()) {
            beat.tick().await;
            session.send(seq, packet, wall());
        }
    }))
}
