//! The stream by which one origin of a room hears the other. Who follows is told that it was taken on, then how the room
//! stands, then what happens; a stream that loses something is broken, and made anew by who follows.

use stentor_ownership::Event;

use super::{
    directory::RoomIx,
    message::{Message, Run},
    net::NodeIx,
    world::World,
};

/// How often an origin tells those who follow it that it lives, where it has nothing else to tell, in milliseconds.
const BEAT_MS: u64 = 500;
/// How soon a stream is tried again, in milliseconds.
const RETRY_MS: u64 = 400;

impl World {
    /// A room's other origin is this one from now on.
    pub(super) fn follow(&mut self, n: NodeIx, room: RoomIx, peer: Option<NodeIx>) {
        let now = self.now;
        let Some(running) = self.nodes[n].control.rooms.get_mut(&room) else { return };
        let stream = &mut running.stream;
        if stream.peer == peer {
            return;
        }
        let before = std::mem::replace(&mut stream.peer, peer);
        (stream.connected, stream.state, stream.retry_at) = (false, None, now);
        if let Some(before) = before {
            self.tell(n, before, Message::Unfollow { room, from: n });
        }
        self.open_stream(n, room);
    }

    fn open_stream(&mut self, n: NodeIx, room: RoomIx) {
        let again = self.now + RETRY_MS;
        let Some(running) = self.nodes[n].control.rooms.get_mut(&room) else { return };
        running.stream.retry_at = again;
        if let Some(peer) = running.stream.peer {
            self.tell(n, peer, Message::Follow { room, from: n });
        }
    }

    /// Keeps the streams of a room: those it gives by a sign of life, the one it takes by opening it anew.
    pub(super) fn keep_streams(&mut self, n: NodeIx, run: Run) {
        let (now, watched) = (self.now, run.room < self.audio.len());
        let Some(running) = self.running(n, run) else { return };
        let stream = &mut running.stream;
        let (silent, beats) = (stream.is_silent(now), stream.beat_at <= now);
        let opens = stream.retry_at <= now && !stream.connected && stream.peer.is_some();
        if beats {
            stream.beat_at = now + BEAT_MS;
        }
        if beats && !watched {
            self.tell_followers(n, run.room, &Message::Beat { room: run.room, from: n });
        }
        if silent {
            self.stream_lost(n, run.room);
        }
        if opens {
            self.open_stream(n, run.room);
        }
    }

    /// Somebody wants to follow a room.
    pub(super) fn followed(&mut self, n: NodeIx, room: RoomIx, from: NodeIx) {
        let Some(running) = self.nodes[n].control.rooms.get_mut(&room) else {
            return self.tell(n, from, Message::Lost { room, from: n });
        };
        running.stream.followers.insert(from);
        let mut told = Vec::new();
        if let Some(origin) = self.origin(n, room) {
            let (term, stage) = (origin.machine.term(), origin.staged.clone());
            told.push(Message::PeerFence { room, from: n, epoch: term.epoch, slot: term.from });
            told.extend((!origin.machine.mirrors()).then_some(Message::Stage { room, from: n, told: stage }));
        }
        self.tell_follower(n, room, from, Message::Opened { room, from: n, told });
    }

    pub(super) fn unfollowed(&mut self, n: NodeIx, room: RoomIx, from: NodeIx) {
        if let Some(running) = self.nodes[n].control.rooms.get_mut(&room) {
            running.stream.followers.remove(&from);
        }
    }

    /// Tells something to all who follow a room.
    pub(super) fn tell_followers(&mut self, n: NodeIx, room: RoomIx, message: &Message) {
        let running = self.nodes[n].control.rooms.get(&room);
        let followers = running.map(|running| running.stream.followers.iter().copied().collect::<Vec<_>>());
        for follower in followers.unwrap_or_default() {
            self.tell_follower(n, room, follower, message.clone());
        }
    }

    /// A connection that loses something is given up.
    fn tell_follower(&mut self, n: NodeIx, room: RoomIx, to: NodeIx, message: Message) {
        match self.net.delay(self.now, n, to, &mut self.random) {
            Some(delay) => self.tell_in(delay, to, message),
            None => self.unfollowed(n, room, to),
        }
    }

    /// The other origin has taken this one on.
    pub(super) fn stream_opened(&mut self, n: NodeIx, room: RoomIx, from: NodeIx, told: Vec<Message>) {
        let now = self.now;
        let Some(running) = self.nodes[n].control.rooms.get_mut(&room) else { return };
        if running.stream.peer == Some(from) {
            (running.stream.connected, running.stream.heard) = (true, now);
            if let Some(origin) = self.origin(n, room) {
                origin.machine.opened();
            }
            told.into_iter().for_each(|message| self.told_studio(n, message));
            self.tell_room(n, room, Event::PeerStream);
        }
    }

    /// The stream of the other origin has ended.
    pub(super) fn stream_lost(&mut self, n: NodeIx, room: RoomIx) {
        let again = self.now + RETRY_MS;
        let Some(running) = self.nodes[n].control.rooms.get_mut(&room) else { return };
        let broke = std::mem::take(&mut running.stream.connected);
        running.stream.retry_at = again;
        if let Some(origin) = self.origin(n, room) {
            origin.machine.lost();
            origin.heed_record();
        }
        if broke {
            self.tell_room(n, room, Event::PeerStream);
        }
    }

    /// The other origin of a room says that it is none any more.
    pub(super) fn refused_stream(&mut self, n: NodeIx, room: RoomIx, from: NodeIx) {
        let running = self.nodes[n].control.rooms.get(&room);
        if running.is_some_and(|running| running.stream.peer == Some(from)) {
            self.stream_lost(n, room);
        }
    }

    /// Something came from another node about a room: whether by the stream that this one follows.
    pub(super) fn beaten(&mut self, n: NodeIx, room: RoomIx, from: NodeIx) -> bool {
        let now = self.now;
        let running = self.nodes[n].control.rooms.get_mut(&room);
        let Some(stream) = running.map(|running| &mut running.stream) else { return false };
        let stands = stream.connected && stream.peer == Some(from);
        if stands {
            stream.heard = now;
        }
        stands
    }

    /// Another process has ended: the streams from it break, and those to it.
    pub(super) fn gone(&mut self, n: NodeIx, peer: NodeIx) {
        let mut broken = Vec::new();
        for (room, running) in &mut self.nodes[n].control.rooms {
            running.stream.followers.remove(&peer);
            if running.stream.peer == Some(peer) {
                broken.push(*room);
            }
        }
        broken.into_iter().for_each(|room| self.stream_lost(n, room));
    }

    /// A room leaves a node: its streams end.
    pub(super) fn end_streams(&mut self, n: NodeIx, run: Run) {
        let Some(stream) = self.running(n, run).map(|running| std::mem::take(&mut running.stream)) else {
            return;
        };
        if let Some(peer) = stream.peer {
            self.tell(n, peer, Message::Unfollow { room: run.room, from: n });
        }
        for follower in stream.followers {
            self.tell(n, follower, Message::Lost { room: run.room, from: n });
        }
    }
}
