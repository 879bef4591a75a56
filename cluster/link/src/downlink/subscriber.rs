//! Takes one room from its parents into its feed. Which parents, and when to try again, is decided by the pure
//! [`Parents`]; this drives it: one task a room, which polls the parents' streams itself.

mod topology;

use std::{collections::HashMap, sync::Arc, time::Duration};

use futures::StreamExt;
use stentor_ids::{Code, Epoch, Fault, Slot};
use stentor_proto::v1::{self, happening::What, subscribe_response::Message};
use stentor_relay::{Action, Ceiling, Inserted, Parents, Why, can_be_epoch, can_be_lineage};
use stentor_telemetry::{Frames, LinkKind, Tier};
use tokio::time::{MissedTickBehavior, sleep_until};
use tokio_stream::StreamMap;
use tracing::{Span, debug, info};

use super::{
    carrier::{Carrier, LINGER},
    heard::Heard,
    upstream::{Reports, Told, Upstream, subscribe},
    wire::{Hello, frame_of},
};
use crate::{Closed, Counted, FeedWriter, Owner, Peer, by_clock::slot_by_clock, feed::differ, tree::Place};

/// How often counts go up, and it is looked whether anyone still follows.
const BEAT: Duration = Duration::from_secs(1);
/// How long to sleep when nothing is due; any event wakes sooner.
const IDLE: Duration = Duration::from_secs(3600);

/// One room's subscription to its parents.
pub(super) struct Subscriber {
    carrier: Carrier,
    feed: Arc<FeedWriter>,
    heard: Heard,
    parents: Parents<Arc<Place>>,
    streams: StreamMap<Arc<Place>, Upstream>,
    links: HashMap<Arc<Place>, Link>,
    /// Parents that tell another room of this name; nothing else of theirs is taken.
    foreign: Vec<Arc<Place>>,
    /// What the room was first asked for by; later connections belong to no trace.
    cause: Span,
    /// The nodes that the parents were ranked by.
    peers: Arc<Vec<Peer>>,
    /// The room's owner as it was last seen, of a relay.
    owner: Option<Owner>,
    /// Which slots are believed.
    ceiling: Ceiling,
    epoch: Epoch,
}

/// What there is to a parent beside its stream.
struct Link {
    reports: Reports,
    /// Whether it took us on, and so is told as gone when it goes.
    opened: bool,
    _counted: Counted,
}

impl Subscriber {
    /// The first connections belong to the trace of `cause`.
    pub(super) fn new(carrier: Carrier, feed: Arc<FeedWriter>, heard: Heard, cause: Span) -> Self {
        Self {
            carrier,
            feed,
            heard,
            parents: Parents::default(),
            streams: StreamMap::new(),
            links: HashMap::new(),
            foreign: Vec::new(),
            cause,
            peers: Arc::default(),
            owner: None,
            ceiling: Ceiling::default(),
            epoch: Epoch(0),
        }
    }

    /// Runs until the room has ended, cannot be had, or nobody follows it any more.
    pub(super) async fn run(mut self) {
        let mut topology = self.carrier.topology().changed(self.feed.room());
        let mut beat = tokio::time::interval(BEAT);
        beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let sleep = sleep_until(stentor_clock::instant(stentor_clock::now()));
        tokio::pin!(sleep);
        // The receiver tells what changes from now on; what is there already is looked at here.
        self.look_at_topology(&mut topology);
        while self.feed.closed().is_none() {
            self.act();
            let now = stentor_clock::now();
            let due = self.parents.next_deadline(now).map_or(now + IDLE, |deadline| deadline.at);
            let due = stentor_clock::instant(due);
            // A sleep that ends early costs one look; arming it anew for every frame would cost more.
            if sleep.is_elapsed() || due < sleep.deadline() {
                sleep.as_mut().reset(due);
            }
            tokio::select! {
                Some((parent, told)) = self.streams.next(), if !self.streams.is_empty() => self.on_told(&parent, told),
                () = &mut sleep => {}
                changed = topology.changed() => match changed {
                    Ok(()) => self.look_at_topology(&mut topology),
                    Err(_) => break,
                },
                _ = beat.tick() => if self.beat() { break },
            }
        }
    }

    /// Does what the parents' state machine asks for.
    fn act(&mut self) {
        let mut actions = Vec::new();
        self.parents.poll(stentor_clock::now(), rand::random(), &mut actions);
        for action in actions {
            match action {
                Action::Connect(parent) => self.connect(parent),
                Action::Drop(parent, why) => self.drop(&parent, why),
            }
        }
    }

    fn drop(&mut self, parent: &Arc<Place>, why: Why) {
        let told = match why {
            Why::Replaced => "better parents have taken its place",
            Why::TimedOut => "it did not open in time",
            Why::Stalled => "it brings no slots, and another does",
            Why::Silent => "nobody brings slots",
        };
        self.forget(parent, told);
        if why == Why::Replaced {
            debug!(room = %self.feed.room(), %parent, "another parent has taken its place");
            return;
        }
        if why == Why::TimedOut {
            // It may be the connection that is dead, and not the node.
            self.carrier.pool().distrust(&parent.link_addr);
        }
        self.carrier.metrics().link_failures(LinkKind::Parent).inc();
        info!(room = %self.feed.room(), %parent, ?why, "parent dropped");
    }

    fn connect(&mut self, parent: Arc<Place>) {
        let channel = match self.carrier.pool().channel(&parent.link_addr) {
            Ok(channel) => channel,
            Err(fault) => {
                info!(room = %self.feed.room(), %parent, %fault, "parent cannot be linked to");
                return self.parents.lost(stentor_clock::now(), &parent, rand::random());
            }
        };
        let config = self.carrier.config();
        let hello = Hello::of(&self.feed, config.me.clone(), config.tier == Tier::Edge);
        let (reports, stream) = subscribe(channel, hello, self.cause.clone());
        let counted = Counted::new(self.carrier.metrics().links(LinkKind::Parent));
        self.streams.insert(parent.clone(), stream);
        self.links.insert(parent, Link { reports, opened: false, _counted: counted });
    }

    fn forget(&mut self, parent: &Arc<Place>, why: &str) {
        self.streams.remove(parent);
        self.foreign.retain(|other| other != parent);
        if self.links.remove(parent).is_some_and(|link| link.opened) {
            self.tell(parent, false, why);
        }
    }

    fn tell(&self, parent: &Place, taken: bool, why: &str) {
        let change = v1::ParentChange { parent: parent.node.to_string(), taken, why: why.into() };
        self.carrier.journal().tell(Some(self.feed.room()), What::Parent(change));
    }

    fn on_told(&mut self, parent: &Arc<Place>, told: Option<Result<Told, Fault>>) {
        match told {
            Some(Ok(Told::Message(message))) => self.on_message(parent, message),
            Some(Ok(Told::Opened)) => {
                self.cause = Span::none();
                self.parents.opened(stentor_clock::now(), parent);
                if let Some(link) = self.links.get_mut(parent) {
                    link.opened = true;
                    self.tell(parent, true, "");
                }
                self.report();
            }
            Some(Err(fault)) => self.on_lost(parent, Some(fault)),
            None => self.on_lost(parent, None),
        }
    }

    fn on_message(&mut self, parent: &Arc<Place>, message: Message) {
        if !self.foreign.is_empty() && !matches!(message, Message::Room(_)) && self.foreign.contains(parent) {
            return;
        }
        match message {
            Message::Frame(frame) => self.on_frame(parent, frame),
            Message::Room(status) => {
                if self.is_of_this_room(parent, status.incarnation) {
                    self.on_status(status);
                }
            }
            Message::Levels(levels) => self.feed.set_levels(levels),
            Message::Bans(bans) => self.feed.take_bans(bans),
            Message::Stage(stage) => {
                if let Err(fault) = self.feed.take_stage(&stage) {
                    self.carrier.metrics().reports_refused().inc();
                    debug!(room = %self.feed.room(), %parent, %fault, "a stage is refused");
                }
            }
            Message::Event(event) => self.feed.event(event),
            Message::Fence(fence) if can_be_epoch(self.epoch, Epoch(fence.epoch)) => {
                self.learn(Epoch(fence.epoch), Slot(fence.from_slot));
            }
            Message::Fence(_) => {
                self.carrier.metrics().reports_refused().inc();
            }
            Message::Gap(gap) => {
                self.count(Frames::Skipped, gap.count);
                debug!(room = %self.feed.room(), %parent, gap.slot, gap.count, "parent skipped slots");
            }
            Message::Move(_) => self.parents.moves(stentor_clock::now(), parent),
        }
    }

    /// Takes a frame in. Only what is of use counts as heard: a parent that brings anything else is as silent as one that
    /// brings nothing, and another takes its place.
    fn on_frame(&mut self, parent: &Arc<Place>, frame: v1::Frame) {
        let (frame, now) = (frame_of(frame), stentor_clock::now());
        let (slot, epoch) = (frame.slot, frame.epoch);
        let can_be = can_be_epoch(self.epoch, epoch) && can_be_lineage(self.epoch.max(epoch), frame.lineage);
        if !can_be || !self.ceiling.admits(now, slot, || slot_by_clock(self.feed.status().as_deref())) {
            return self.count(Frames::Fenced, 1);
        }
        // Before it is pushed: a frame of a higher epoch is a claim, and fences what comes beside it.
        if epoch > self.epoch {
            self.learn(epoch, slot);
        }
        let inserted = self.feed.push(frame);
        if matches!(inserted, Inserted::New | Inserted::Duplicate) {
            self.ceiling.took(now, slot);
            self.parents.delivered(now, parent);
            self.heard.note(now, &parent.node);
        }
        match inserted {
            Inserted::New => self.count(Frames::In, 1),
            Inserted::Duplicate => self.count(Frames::Duplicate, 1),
            Inserted::Fenced | Inserted::OldLineage => self.count(Frames::Fenced, 1),
            Inserted::TooOld => self.count(Frames::Late, 1),
        }
    }

    /// Whether a parent tells this room, and not another one of its name. If it is the newer one, this one is over here.
    fn is_of_this_room(&mut self, parent: &Arc<Place>, told: u64) -> bool {
        self.foreign.retain(|other| other != parent);
        if told == 0 || told == self.feed.incarnation() {
            return true;
        }
        let record = self.carrier.topology().status(self.feed.room()).map_or(0, |record| record.incarnation);
        if !self.feed.is_other(told) && !differ(record, told) && !self.carrier.is_past(told) {
            return true;
        }
        // Where the record is known it says which one is there; an edge knows which ones are not any more.
        let newer = if record == 0 { !self.carrier.is_past(told) } else { record == told };
        if newer {
            self.carrier.end_of(&self.feed);
        } else {
            self.foreign.push(parent.clone());
        }
        false
    }

    /// Takes a parent's word on the room, unless another one said something newer.
    fn on_status(&mut self, status: v1::RoomStatus) {
        let live = is_live(&status);
        if self.feed.take_status(Arc::new(status)) {
            self.parents.become_live(stentor_clock::now(), live);
        }
    }

    fn adopt(&mut self, status: v1::RoomStatus) {
        self.parents.become_live(stentor_clock::now(), is_live(&status));
        if self.feed.status().as_deref() != Some(&status) {
            self.feed.set_status(Arc::new(status));
        }
    }

    fn learn(&mut self, epoch: Epoch, from: Slot) {
        if epoch > self.epoch {
            self.epoch = epoch;
            self.carrier.metrics().epoch_changes().inc();
        }
        self.feed.fence(epoch, from);
    }

    /// A parent's stream ended: well, if the room has; else the parent rests.
    fn on_lost(&mut self, parent: &Arc<Place>, fault: Option<Fault>) {
        let why = fault.as_ref().map_or("it ended its stream", |fault| &fault.detail);
        self.forget(parent, why);
        self.parents.lost(stentor_clock::now(), parent, rand::random());
        let status = self.feed.status();
        match fault {
            // One parent may hear of a new room a little later than another.
            Some(fault)
                if status.is_none()
                    && self.streams.is_empty()
                    && matches!(fault.code, Code::UnknownRoom | Code::RoomEnded) =>
            {
                self.feed.close(Closed::Fault(fault));
            }
            Some(fault) => {
                self.carrier.metrics().link_failures(LinkKind::Parent).inc();
                info!(room = %self.feed.room(), %parent, %fault, "parent lost");
            }
            None => {
                let ended = status.is_some_and(|status| status.lifecycle() == v1::Lifecycle::Ended);
                if ended {
                    self.feed.close(Closed::Ended);
                }
                debug!(room = %self.feed.room(), %parent, ended, "parent ended its stream");
            }
        }
        self.end_if_record_says_so();
    }

    /// Reports upwards, and says whether nobody has followed for long enough to stop.
    fn beat(&mut self) -> bool {
        self.report();
        self.end_if_record_says_so();
        let idle = self.feed.idle_since().is_some_and(|since| stentor_clock::now().since(since) >= LINGER);
        idle && self.carrier.remove_if_idle(&self.feed)
    }

    /// A relay tells every parent its sum; an edge tells its best one, so that no listener is counted twice, and the
    /// other that it counts nothing there. Who is stuck is told to all: one of them may not reach whoever leads.
    fn report(&self) {
        let best = self.parents.best();
        let edge = self.carrier.config().tier == Tier::Edge;
        let report = self.feed.report();
        for (parent, link) in &self.links {
            let here = !edge || best == Some(parent);
            let count = if here { report.count } else { Some(v1::ListenerCount::default()) };
            link.reports.send(v1::CountReport { count, ..report });
        }
    }

    fn count(&self, outcome: Frames, slots: u64) {
        self.carrier.metrics().frames(self.carrier.config().tier, outcome).inc_by(slots);
    }
}

fn is_live(status: &v1::RoomStatus) -> bool {
    status.lifecycle() == v1::Lifecycle::Live && !status.owner.is_empty()
}
