//! The room's audio, as the actor steers it: begun when the room is live, and told who may speak.

use std::sync::Arc;

use stentor_ids::{Epoch, Lineage, Slot};
use stentor_link::Mirror;
use stentor_ownership::OwnerKey;
use stentor_proto::v1;
use stentor_room::{Lifecycle, Record};

use super::state::State;
use crate::{
    media::{Begin, Media, Recorded, Start, Term},
    status,
};

impl State {
    /// Begins to pass on what the owner mixes.
    pub(super) fn keep(&mut self, owner: &OwnerKey) {
        let record = self.hosted.published().record;
        let recorded = status::recorded(self.hosted.id.as_str(), &record, Some((&owner.node, owner.epoch)));
        if self.hosted.feed.status().is_none() {
            let mirror = self.origin.me.to_string();
            self.hosted.feed.set_status(Arc::new(v1::RoomStatus { mirror, ..recorded }));
            self.hosted.feed.set_all_banned(Epoch(0), status::banned(&record));
        }
        self.start_media(None);
        tracing::info!(room = %self.hosted.id, owner = %owner.node, epoch = %owner.epoch, "mirroring");
    }

    /// Starts the audio, if the room is live and it does not run yet.
    pub(super) fn go_on_air(&mut self) {
        let lifecycle = self.ledger.room().record().lifecycle();
        let Lifecycle::Live { since } = lifecycle else { return };
        if self.on_air {
            return;
        }
        self.on_air = true;
        let seen = self.hosted.feed.reported().map(|seen| seen.slot);
        let line = self.hosted.under_way(stentor_clock::now());
        let first = match line {
            Some((next, _)) => next.max(seen.map(Slot::next).unwrap_or_default()),
            None => lifecycle.resume_slot(stentor_clock::wall(), seen, 0).unwrap_or_default(),
        };
        let owner = self.hosted.owner();
        let (slot, epoch, lineage) = (first.max(owner.from_slot), owner.epoch, self.hosted.next_lineage());
        // Before the first of its slots, so that none of an older epoch is taken beside it.
        self.hosted.feed.fence(epoch, slot);
        tracing::info!(room = %self.hosted.id, %epoch, %lineage, first = %slot, "on the air");
        let begin = Begin { slot, lineage, since, line };
        match &self.media {
            Some(media) => media.begin(begin),
            None => self.start_media(Some(begin)),
        }
    }

    /// Goes on with a room that this node mirrored until now, from its claim's first slot on.
    pub(super) fn go_on(&mut self) {
        let OwnerKey { epoch, from_slot, .. } = self.hosted.owner();
        // The stage before the beginning: the loop may wake in between, and none of this owner's slots is mixed under the former
        // one's stage.
        let record = self.ledger.room().record();
        self.set_stage(record);
        if let (Some(media), Lifecycle::Live { since }) = (&self.media, record.lifecycle()) {
            let line = self.hosted.under_way(stentor_clock::now());
            media.begin(Begin { slot: from_slot, lineage: Lineage::of(epoch), since, line });
            self.on_air = true;
        }
    }

    pub(super) fn set_stage(&self, record: &Record) {
        let staged = status::staged(self.hosted.epoch(), record);
        self.hosted.tell_stage(&staged);
        if let Some(media) = &self.media {
            media.set_stage(staged);
        }
    }

    /// Takes in what the view shows of a room that another node decides, if it is another record than it was. Whether that is to be
    /// heeded the audio knows, which hears the owner or does not.
    pub(super) fn read_record(&mut self) {
        let Some(media) = self.media.as_ref().filter(|_| !self.tenure.is_owner()) else { return };
        let view = self.origin.view.snapshot();
        let Some(known) = view.rooms.get(&self.hosted.id) else { return };
        let read = Some((view.history, known.revision));
        if std::mem::replace(&mut self.read, read) == read {
            return;
        }
        // The watch has said so if it cannot be read.
        let Ok(record) = Record::decode(&known.record) else { return };
        if record.incarnation() != self.ledger.room().record().incarnation() {
            return;
        }
        let owner = known.owner.as_ref().map(|owner| (&owner.node, known.epoch));
        let status = status::recorded(self.hosted.id.as_str(), &record, owner);
        let mirror = if self.tenure.is_mirror() { self.origin.me.to_string() } else { String::new() };
        media.recorded(Recorded {
            stage: status::staged(known.epoch, &record),
            status: Arc::new(v1::RoomStatus { mirror, ..status }),
        });
    }

    /// Slots from the key's first one on are of its term.
    pub(super) fn enter_term(&self, key: &OwnerKey) {
        // The fence before the term: a slot above it that the loop still mixes under the former term goes to nobody.
        self.hosted.feed.fence(key.epoch, key.from_slot);
        if let Some(media) = &self.media {
            media.term(Term { epoch: key.epoch, from: key.from_slot, side: self.hosted.side() });
        }
    }

    /// Where the room's other origin is reached.
    fn other_origin(&self) -> Option<Mirror> {
        self.origin.place_of(self.tenure.other()?)
    }

    fn start_media(&mut self, begin: Option<Begin>) {
        let OwnerKey { epoch, from_slot, .. } = self.hosted.owner();
        let start = Start {
            origin: self.origin.clone(),
            hosted: self.hosted.clone(),
            actor: self.myself.clone(),
            stage: status::staged(epoch, &self.hosted.published().record),
            term: Term { epoch, from: from_slot, side: self.hosted.side() },
            begin,
            peer: self.other_origin(),
        };
        self.media = Some(Media::start(start));
    }
}
