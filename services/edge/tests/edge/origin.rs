//! An origin without a host: the test says which rooms there are, and keeps what edges bring.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, AtomicUsize, Ordering::Relaxed},
    },
};

use async_trait::async_trait;
use stentor_ids::{Code, Epoch, Fault, ParticipantId, Role, RoomId};
use stentor_kit::{Script, room, says};
use stentor_link::{
    Carry, Feed, FeedWriter,
    uplink::{Attached, Ingest, IngestSession, Opened, Opening, Packet, Speaker, ToEdge},
};
use stentor_proto::v1;

/// The rooms of the origin, and what came for them.
#[derive(Default)]
pub struct Origin {
    pub addr: Mutex<String>,
    rooms: Mutex<HashMap<RoomId, (v1::RoomStatus, Option<Feed>)>>,
    streams: AtomicU64,
    /// How often it was asked for a room.
    pub located: AtomicUsize,
    /// Who came to speak, and under which stream it asked to.
    pub attached: Mutex<Vec<(String, u64)>>,
    pub heard: Mutex<Vec<Packet>>,
    pub commands: Mutex<Vec<v1::CommandRequest>>,
    /// Batches of hands.
    pub hands: Mutex<Vec<v1::HandsRequest>>,
    pub edge: Mutex<Option<ToEdge>>,
}

impl Origin {
    /// Keeps a room; one that is open or live with a feed.
    pub fn keep(&self, status: v1::RoomStatus) -> FeedWriter {
        let room = RoomId::new(&status.room).unwrap();
        let feed = FeedWriter::new(room.clone());
        feed.set_status(Arc::new(status.clone()));
        let owned = !status.owner.is_empty();
        self.rooms.lock().unwrap().insert(room, (status, owned.then(|| feed.reader())));
        feed
    }

    fn room(&self, room: &RoomId) -> Result<(v1::RoomStatus, Option<Feed>), Fault> {
        let found = self.rooms.lock().unwrap().get(room).cloned();
        found.ok_or_else(|| Fault::new(Code::UnknownRoom, format!("there is no room {room}")))
    }

    fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        self.room(room)?.1.ok_or_else(|| Fault::new(Code::NotOwner, format!("{room} is not owned here")))
    }
}

/// Its answers to calls.
impl Origin {
    pub fn answers(self: &Arc<Self>) -> Script {
        let [locates, commands, hands] = [self.clone(), self.clone(), self.clone()];
        Script {
            locate: says(move |_, room| locates.locate(room)),
            command: says(move |_, asked| commands.command(asked)),
            hands: says(move |_, asked| hands.hands(asked)),
            ..Script::default()
        }
    }

    fn locate(&self, room: &RoomId) -> Result<v1::LocateResponse, Fault> {
        self.located.fetch_add(1, Relaxed);
        let (status, feed) = self.room(room)?;
        let owner_addr = feed.map_or_else(String::new, |_| self.addr.lock().unwrap().clone());
        Ok(v1::LocateResponse { room: Some(status), owner_addr, ..Default::default() })
    }

    fn command(&self, asked: &v1::CommandRequest) -> Result<v1::CommandReply, Fault> {
        let (status, _) = self.room(&room(&asked.room))?;
        if matches!(asked.command, Some(v1::command_request::Command::Mute(_))) {
            return Err(Fault::new(Code::UnknownParticipant, "nobody of that name is in the room"));
        }
        let role = asked.by.as_ref().map_or(0, |by| by.role);
        self.commands.lock().unwrap().push(asked.clone());
        Ok(v1::CommandReply { room: Some(status), hands: Vec::new(), role })
    }

    fn hands(&self, asked: &v1::HandsRequest) -> Result<v1::HandsReply, Fault> {
        let (status, _) = self.room(&room(&asked.room))?;
        // A list that has no place for anyone of this name.
        let outcome = |change: &v1::HandChange| match &change.by {
            Some(by) if by.participant.starts_with("late") => v1::HandOutcome {
                code: Code::Overloaded.to_string(),
                detail: "1000 hands are up".into(),
                retry_after_ms: 700,
            },
            _ => v1::HandOutcome::default(),
        };
        let outcomes = asked.changes.iter().map(outcome).collect();
        self.hands.lock().unwrap().push(asked.clone());
        Ok(v1::HandsReply { room: Some(status), outcomes })
    }
}

/// The origin's faces to its links.
#[derive(Clone)]
pub struct Face(pub Arc<Origin>);

#[async_trait]
impl Carry for Face {
    async fn feed(&self, room: &RoomId) -> Result<Feed, Fault> {
        self.0.feed(room)
    }
}

#[async_trait]
impl Ingest for Face {
    async fn open(&self, opening: Opening) -> Result<Opened, Fault> {
        let (status, _) = self.0.room(&opening.room)?;
        *self.0.edge.lock().unwrap() = Some(opening.edge_side);
        let status = Arc::new(status);
        Ok(Opened { session: Arc::new(self.clone()), epoch: Epoch(1), status })
    }
}

#[async_trait]
impl IngestSession for Face {
    async fn attach(&self, speaker: Speaker, stream: u64) -> Result<Attached, Fault> {
        if speaker.role == Role::Listener {
            return Err(Fault::new(Code::RoleForbids, "a listener does not speak"));
        }
        self.0.attached.lock().unwrap().push((speaker.participant.to_string(), stream));
        let stream = stream.max(100 + self.0.streams.fetch_add(1, Relaxed));
        Ok(Attached { stream, role: speaker.role, muted: false })
    }
    fn packet(&self, packet: Packet) {
        self.0.heard.lock().unwrap().push(packet);
    }
    fn detach(&self, _: &ParticipantId, _: u64) {}
}
