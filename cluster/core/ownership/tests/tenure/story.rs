//! A tenure that is told a story: events at moments, and what it asked for, in short.

use std::time::Duration;

use stentor_ids::{Code, Epoch, Fault, NodeId, Revision, RoomId, Slot};
use stentor_ownership::{
    Answer, Books, Claimed, Driver, Effect, End, Errand, Event, Held, Here, Keys, MirrorHeld, MirrorKey,
    Moment, OwnerHeld, OwnerKey, Reach, Shown, Standing, Successor, Tenure, Wants,
};
use stentor_pace::Time;

/// Nothing is behind what it hands in but a name.
pub(crate) struct Told;

impl Driver for Told {
    type Right = &'static str;
    type Place = &'static str;
    type Record = &'static str;
    type Asker = &'static str;
}

pub(crate) const fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

pub(crate) fn node(name: &str) -> NodeId {
    NodeId::new(name).expect("it is a name")
}

pub(crate) fn owner_key(name: &str, epoch: u64, revision: u64) -> OwnerKey {
    OwnerKey { node: node(name), epoch: Epoch(epoch), from_slot: Slot(100), revision: Revision(revision) }
}

pub(crate) fn owned(name: &str, epoch: u64, revision: u64) -> OwnerHeld<Told> {
    let key = owner_key(name, epoch, revision);
    Held { key, written: Moment { history: 0, revision: Revision(revision) }, right: "right" }
}

pub(crate) fn mirrored(name: &str, revision: u64) -> MirrorHeld<Told> {
    let key = MirrorKey { node: node(name), revision: Revision(revision) };
    Held { key, written: Moment { history: 0, revision: Revision(revision) }, right: "place" }
}

pub(crate) fn successor(name: &str, epoch: u64, slot: u64) -> Successor {
    Successor { node: node(name), epoch: Epoch(epoch), from_slot: Slot(slot) }
}

/// What a view shows of revision `at`: who owns the room, and who mirrors it.
pub(crate) fn shown(at: u64, owner: Option<OwnerKey>, mirror: Option<(&str, u64)>) -> Shown {
    let key = |(name, revision): (&str, u64)| MirrorKey { node: node(name), revision: Revision(revision) };
    let keys = Keys {
        owner,
        mirror: mirror.map(key),
        mirror_at: mirror.map(|(name, _)| format!("{name}:1")),
        wants: Wants::Origins,
        bids: Vec::new(),
    };
    Shown { at: Moment { history: 0, revision: Revision(at) }, keys: Some(keys) }
}

pub(crate) fn away() -> Fault {
    Fault::new(Code::DirectoryUnavailable, "gone")
}

/// This node is `me`; the room's other origin `you`.
pub(crate) struct Story {
    pub(crate) here: Here,
    pub(crate) tenure: Tenure<Told>,
    /// The last errand of each kind.
    errands: Vec<(&'static str, Errand)>,
    begun: String,
}

impl Story {
    /// `me` owns the room at epoch 3, by its key of revision 10, and `you` mirrors it.
    pub(crate) fn of_owner() -> Self {
        let here = Here { live: true, newest: Some(Slot(200)), ready: Some(node("you")), ..here() };
        let view = shown(11, Some(owner_key("me", 3, 10)), Some(("you", 11)));
        Self::begin(here, Standing::Owner(owned("me", 3, 10)), view, false)
    }

    /// `you` owns the room at epoch 3, by its key of revision 10, and `me` mirrors it by its own of 11.
    pub(crate) fn of_mirror() -> Self {
        let here = Here { live: true, newest: Some(Slot(200)), next: Some(Slot(201)), ..here() };
        let owner = owner_key("you", 3, 10);
        let view = shown(11, Some(owner.clone()), Some(("me", 11)));
        Self::begin(here, Standing::Mirror { held: mirrored("me", 11), owner }, view, false)
    }

    /// The same, which has not heard the owner yet.
    pub(crate) fn of_unmet_mirror() -> Self {
        let here = Here { heard: Time::default(), connected: false, ..here() };
        let owner = owner_key("you", 3, 10);
        let view = shown(11, Some(owner.clone()), Some(("me", 11)));
        Self::begin(here, Standing::Mirror { held: mirrored("me", 11), owner }, view, false)
    }

    pub(crate) fn begin(here: Here, standing: Standing<Told>, view: Shown, again: bool) -> Self {
        let room = RoomId::new("demo").expect("it is a name");
        let (tenure, effects) = Tenure::begin(&here, node("me"), room, standing, view, again);
        let mut story = Self { here, tenure, errands: Vec::new(), begun: String::new() };
        story.begun = story.short(effects);
        story
    }

    /// What was asked for at the beginning.
    pub(crate) fn begun(&self) -> &str {
        &self.begun
    }

    pub(crate) fn tell(&mut self, event: Event<Told>) -> String {
        let effects = self.tenure.handle(&self.here, event);
        self.short(effects)
    }

    /// So much time goes by; whenever the tenure wants to be woken it is. The other origin is heard all along if it is
    /// connected.
    pub(crate) fn wait(&mut self, wait: Duration) -> String {
        let until = self.here.now + wait;
        let mut all = Vec::new();
        loop {
            let due = self.tenure.next_deadline().map(|due| due.at.max(self.here.now));
            let at = due.filter(|due| *due <= until).unwrap_or(until);
            self.here.now = at;
            if self.here.connected {
                self.here.heard = at;
            }
            let effects = self.tenure.poll(&self.here);
            let short = self.short(effects);
            if !short.is_empty() {
                all.push(short);
            }
            if at == until {
                return all.join(" ");
            }
        }
    }

    /// An errand of this kind ends.
    pub(crate) fn end(&mut self, kind: &str, end: End<Told>) -> String {
        let errand = self.errand(kind);
        self.tell(Event::Done(errand, end))
    }

    pub(crate) fn errand(&self, kind: &str) -> Errand {
        let found = self.errands.iter().rev().find(|(known, _)| *known == kind);
        found.unwrap_or_else(|| panic!("no errand {kind} was sent")).1
    }

    pub(crate) fn asks_nobody_hears(&mut self) -> String {
        self.end("ask", End::Answered(Answer::default()))
    }

    pub(crate) fn asks_finds_it_gone(&mut self) -> String {
        self.end("ask", End::Answered(Answer { gone: true, ..Answer::default() }))
    }

    pub(crate) fn claimed(&mut self, epoch: u64, revision: u64) -> String {
        let held = owned("me", epoch, revision);
        self.end("claim", End::Claimed(Ok(Claimed { held, record: "record", ended: false })))
    }

    pub(crate) fn books(&mut self, books: Books) -> String {
        self.here.books = books;
        self.tell(Event::Books)
    }

    fn short(&mut self, effects: Vec<Effect<Told>>) -> String {
        let short: Vec<_> = effects.into_iter().map(|effect| self.one(effect)).collect();
        short.join(" ")
    }

    fn sent(&mut self, kind: &'static str, errand: Errand) -> &'static str {
        self.errands.push((kind, errand));
        kind
    }

    fn one(&mut self, effect: Effect<Told>) -> String {
        let of = |outcome: Result<Successor, Fault>| match outcome {
            Ok(Successor { node, epoch, from_slot }) => format!("{node}@{epoch}+{from_slot}"),
            Err(fault) => fault.code.to_string(),
        };
        let name = |node: Option<NodeId>| node.map_or_else(|| "nobody".to_owned(), |node| node.to_string());
        match effect {
            Effect::Publish => "publish".to_owned(),
            Effect::Look => "look".to_owned(),
            Effect::Ask(errand, owner) => format!("{}:{}", self.sent("ask", errand), owner.node),
            Effect::Claim(errand, claim) => {
                let preempt = claim.preempt.unwrap_or_default();
                format!("{}:e{}r{preempt}s{}", self.sent("claim", errand), claim.seen, claim.from_slot)
            }
            Effect::PutBackOwner(errand, _) => self.sent("put-back", errand).to_owned(),
            Effect::PutBackMirror(errand, own) => {
                format!("{}:r{}", self.sent("put-back", errand), own.unwrap_or_default())
            }
            Effect::Prepare(errand, heir, _) => format!("{}:{heir}", self.sent("prepare", errand)),
            Effect::Offer(errand, heir, slot) => format!("{}:{heir}+{slot}", self.sent("offer", errand)),
            Effect::LookUp(errand) => self.sent("look-up", errand).to_owned(),
            Effect::Bid(errand, epoch, Reach { listeners, children }) => {
                format!("{}:e{epoch}:{listeners}/{children}", self.sent("bid", errand))
            }
            Effect::WithdrawBid => "withdraw".to_owned(),
            Effect::Preempts => "preempts".to_owned(),
            Effect::Release(errand, _) => self.sent("release", errand).to_owned(),
            Effect::Transferred(asker, outcome) | Effect::TookOver(asker, outcome) => {
                format!("{asker}={}", of(outcome))
            }
            Effect::Aside => "aside".to_owned(),
            Effect::CloseBooks(_) => "close".to_owned(),
            Effect::ReopenBooks => "reopen".to_owned(),
            Effect::AbandonBooks(fault) => format!("abandon:{}", fault.code),
            Effect::SaveAgain => "save".to_owned(),
            Effect::Keep(owner) => format!("keep:{}", owner.node),
            Effect::Decide(record) => format!("decide:{}", record.unwrap_or("kept")),
            Effect::Follow(node) => format!("follow:{}", name(node)),
            Effect::Term(key) => format!("term:{}@{}+{}", key.node, key.epoch, key.from_slot),
            Effect::EndAt(slot) => format!("end-at:{slot}"),
            Effect::Fence(successor) => format!("fence:{}+{}", successor.epoch, successor.from_slot),
            Effect::Redirect(node, epoch) => format!("redirect:{node}@{epoch}"),
            Effect::Dismiss => "dismiss".to_owned(),
            Effect::TellSuccessor(successor) => format!("goes:{}", successor.node),
            Effect::TellMirror(node) => format!("mirror:{}", name(node)),
            Effect::TellPeer => "peer".to_owned(),
            Effect::TellOwner(took) => {
                let since = took.since.map(|since| self.here.now.since(since).as_millis());
                format!("owner-after:{}/{since:?}", took.former)
            }
            Effect::TellRoom => "room".to_owned(),
            Effect::TellEnded => "ended".to_owned(),
            Effect::Leave(left) => format!("leave:{left:?}"),
            Effect::Stop => "stop".to_owned(),
            Effect::Fail(_) => "fail".to_owned(),
        }
    }
}

fn here() -> Here {
    let now = Time::from_millis(1_000_000);
    Here { now, heard: now, connected: true, ..Here::default() }
}
