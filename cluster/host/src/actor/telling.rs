//! When a room's owner tells everyone how the room is. A change of the lifecycle or the stage is told at once; everything
//! else (hands, connections, the mirror) at most five times a second, however often it changes, so that no crowd decides
//! how much goes down the tree. What changes all the time, the count and the levels, is told once a second and by itself.

use std::sync::Arc;

use stentor_proto::v1;

use super::{
    owned::{self, Origins},
    state::State,
};
use crate::{message::Message, status};

impl State {
    /// Tells everyone how the room is now.
    pub(super) fn tell_status(&mut self) {
        self.telling.hurry(stentor_clock::now());
        self.tell_if_due();
    }

    /// Tells everyone how the room is, soon.
    pub(super) fn status_changed(&mut self) {
        self.telling.want(stentor_clock::now());
        self.tell_if_due();
    }

    /// The time that was waited for is over.
    pub(super) fn time_to_tell(&mut self) {
        self.tells = false;
        self.tell_if_due();
    }

    /// Tells what only time changes: how many listen, who is how loud, and that the mirror has fallen silent.
    pub(super) fn tell_levels(&mut self) {
        let known = self.hosted.feed.status();
        let as_told = |status: v1::RoomStatus, known: &v1::RoomStatus| v1::RoomStatus {
            slot: known.slot,
            serial: known.serial,
            ..status
        };
        if known.is_none_or(|known| *known != as_told(self.status(), &known)) {
            self.status_changed();
        }
        let serial = self.hosted.next_serial();
        self.hosted.feed.set_levels(v1::Levels { serial, ..owned::levels(&self.hosted) });
    }

    /// Tells everyone who is banned, who may speak and how the room is, as an owner that begins.
    pub(super) fn tell_room(&mut self) {
        self.hosted.tell_stage(&status::staged(self.hosted.epoch(), self.ledger.room().record()));
        let banned = status::banned(self.ledger.room().record());
        self.hosted.feed.set_all_banned(self.hosted.epoch(), banned);
        self.tell_status();
    }

    /// The room as whoever asks is told it.
    pub(super) fn current(&self) -> v1::RoomStatus {
        let mut status = self.status();
        stentor_link::fill(&mut status, &owned::levels(&self.hosted));
        status
    }

    fn status(&self) -> v1::RoomStatus {
        let mirror = self.tenure.other();
        let ready = self.hosted.peer.is_ready(mirror, stentor_clock::now());
        owned::owned(&self.hosted, self.ledger.room(), &Origins { me: &self.origin.me, mirror, ready })
    }

    fn tell_if_due(&mut self) {
        let now = stentor_clock::now();
        if self.telling.take(now) {
            if self.hosted.is_owned() && !self.tenure.is_over() {
                let serial = self.hosted.next_serial();
                self.hosted.feed.set_status(Arc::new(v1::RoomStatus { serial, ..self.status() }));
            }
        } else if let Some(at) = self.telling.deadline().filter(|_| !self.tells) {
            self.tells = true;
            self.myself.send_after(at.since(now), || Message::TimeToTell);
        }
    }
}
