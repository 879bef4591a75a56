//! Who writes a feed. Of a room that this node runs that is the room; of one that it carries, who takes it from its parents.

use std::{collections::BTreeMap, ops::Deref, sync::Arc};

use parking_lot::{Mutex, MutexGuard};
use stentor_ids::{Code, Epoch, Fault, ParticipantId, RoomId, Slot};
use stentor_proto::v1;
use stentor_relay::{Bans, Counts, Frame, Inserted, Log, Ring, Stuck, can_be_epoch};
use tokio::sync::watch;

use super::{
    Closed, EVENTS, FRAMES, Feed, Inner, Stage, State, first_serial,
    told::{self, Levels, words_of},
};
use crate::bad_name;

/// What puts things into a [`Feed`]; there is one for each. It reads like any reader, and hands out readers, which cannot
/// write. Dropping it leaves the feed as it is: whoever writes says how it is over.
pub struct FeedWriter(Feed);

impl Deref for FeedWriter {
    type Target = Feed;

    fn deref(&self) -> &Feed {
        &self.0
    }
}

impl FeedWriter {
    /// Of an empty feed.
    #[must_use]
    pub fn new(room: RoomId) -> Self {
        let state = State {
            ring: Ring::new(),
            frames: Log::new(FRAMES),
            events: Log::new(EVENTS),
            serial: 0,
            status: (0, None),
            levels: (0, Levels::default()),
            fence: (0, None),
            stage: (0, None),
            bans: Bans::default(),
            closed: None,
            counts: Counts::default(),
            last_child: 0,
            children: BTreeMap::new(),
            cursors: 0,
            idle_since: stentor_clock::now(),
        };
        let changed = watch::Sender::new(());
        Self(Feed(Arc::new(Inner { room, state: Mutex::new(state), changed })))
    }

    /// For whoever only reads.
    #[must_use]
    pub fn reader(&self) -> Feed {
        self.0.clone()
    }

    /// Puts a frame in. Only a new one is passed on.
    pub fn push(&self, frame: Frame) -> Inserted {
        let mut state = self.lock();
        let inserted = state.ring.insert(frame.clone());
        if inserted == Inserted::New {
            let lineage = state.ring.lineage();
            state.counts.took(stentor_clock::now(), lineage);
            state.frames.push(frame);
            drop(state);
            self.wake();
        }
        inserted
    }

    /// Tells the room as it is now.
    pub fn set_status(&self, status: Arc<v1::RoomStatus>) {
        let mut state = self.lock();
        let (version, told) = &mut state.status;
        *version += 1;
        *told = Some(status);
        drop(state);
        self.wake();
    }

    /// Tells the room as somebody says that it is, unless something newer is known. Says whether that is so.
    pub fn take_status(&self, status: Arc<v1::RoomStatus>) -> bool {
        let age =
            |status: &v1::RoomStatus| (status.lifecycle, status.epoch, status.stage_version, status.serial);
        let known = self.status();
        if known.as_ref().is_some_and(|known| age(&status) < age(known)) {
            return false;
        }
        if known.as_ref() != Some(&status) {
            self.set_status(status);
        }
        true
    }

    /// Tells who may speak, unless something newer is known.
    ///
    /// # Errors
    /// A name that is none, or an epoch that cannot be; then nothing of it is believed.
    pub fn take_stage(&self, told: &v1::StageState) -> Result<(), Fault> {
        let stage = Stage::try_from(told).map_err(bad_name)?;
        let mut state = self.lock();
        if !can_be_epoch(state.ring.epoch(), stage.id.epoch) {
            let (epoch, known) = (stage.id.epoch, state.ring.epoch());
            let detail = format!("a stage of epoch {epoch}; the room is at {known} here");
            return Err(Fault::new(Code::InvalidArgument, detail));
        }
        let (version, known) = &mut state.stage;
        if known.as_ref().is_some_and(|known| known.id >= stage.id) {
            return Ok(());
        }
        *version += 1;
        *known = Some(Arc::new(stage));
        drop(state);
        self.wake();
        Ok(())
    }

    /// Tells the count, and how loud who speaks is, unless something newer is known.
    pub fn set_levels(&self, levels: v1::Levels) {
        let mut state = self.lock();
        let age = |levels: &v1::Levels| (levels.epoch, levels.serial);
        let (version, told) = &mut state.levels;
        if told.as_ref().is_some_and(|known| age(known) >= age(&levels)) {
            return;
        }
        *version += 1;
        *told = Some(Arc::new(told::bounded(levels)));
        drop(state);
        self.wake();
    }

    /// The owner's word on a participant, after its word on everyone.
    pub fn set_banned(&self, participant: ParticipantId, banned: bool) {
        self.lock().bans.say(participant, !banned);
        self.wake();
    }

    /// The owner's word on everyone, when it begins: these may not hear the room, and everyone else may. An origin that
    /// knows them from the record alone says so under epoch 0.
    pub fn set_all_banned(&self, epoch: Epoch, banned: impl IntoIterator<Item = ParticipantId>) {
        self.lock().bans.say_all(first_serial(epoch), banned);
        self.wake();
    }

    /// Takes in what a parent, or the owner to its mirror, says of bans. A name that is none is let go.
    pub fn take_bans(&self, bans: v1::Bans) {
        let above = bans.whole_above;
        let mut state = self.lock();
        let mut news = false;
        for word in words_of(bans) {
            news |= state.bans.take(word);
        }
        news |= state.bans.whole(above);
        drop(state);
        if news {
            self.wake();
        }
    }

    /// Passes an event on, if it did not come before. The owner's events have no serial yet and are given one.
    pub fn event(&self, mut event: v1::ParticipantEvent) {
        let mut state = self.lock();
        if event.serial == 0 {
            event.serial = state.serial.max(first_serial(state.ring.epoch())) + 1;
        } else if state.has_event(event.serial) {
            return;
        }
        state.serial = state.serial.max(event.serial);
        state.events.push(event);
        drop(state);
        self.wake();
    }

    /// Learns of a claim, and passes it on: from this slot on nothing of an older epoch is taken. Returns whether the
    /// epoch is higher than any known.
    pub fn fence(&self, epoch: Epoch, from: Slot) -> bool {
        let mut state = self.lock();
        let rises = state.ring.fence(epoch, from);
        let (version, told) = &mut state.fence;
        if told.is_none_or(|(known, _)| epoch > known) {
            *version += 1;
            *told = Some((epoch, from));
            drop(state);
            self.wake();
        }
        rises
    }

    /// Ends the feed. Readers are given what they have not seen yet, then this. The first close counts.
    pub fn close(&self, closed: Closed) {
        self.lock().closed.get_or_insert(closed);
        self.wake();
    }

    /// This node's own listeners.
    pub fn set_own_listeners(&self, listeners: u64) {
        self.lock().counts.own(listeners);
    }

    /// Slots that this node itself had to fill since it began to play the room.
    pub fn set_own_filled(&self, slots: u64) {
        self.lock().counts.filled(slots);
    }

    /// What this node's own listeners are stuck on, if they are.
    pub fn set_own_stuck(&self, stuck: Option<Stuck>) {
        self.lock().counts.plays(stuck);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.0.state.lock()
    }
}
