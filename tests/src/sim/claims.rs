//! Claims by a node of offices that nobody holds: `placement::{Vacancy, Claims}` say which and when, `ownership::Candidacy` how.

use stentor_ids::{Code, Epoch, Fault};
use stentor_ownership::{Came, Candidacy, Outcome, Standing, Step};
use stentor_placement::{CLAIMS_AT_ONCE, Claim, OfficeKind, Vacancy};

use super::{
    candidate::{Candidate, Won},
    directory::{Mirror, Op, Owner, Refused, Reply, Revision, RoomIx},
    message::{Answer, Ask, Message},
    net::NodeIx,
    running::Sim,
    world::World,
};

/// How long a view may take to show the claim of an owner that asks for a mirror, in milliseconds.
const VIEW_MS: u64 = 1_000;

impl World {
    /// Weighs what a node's view shows of a room: which of its offices is empty.
    pub(super) fn weigh(&mut self, n: NodeIx, room: RoomIx) {
        let mut candidacies = std::mem::take(&mut self.nodes[n].control.candidacies);
        let (time, node) = (self.time(), &self.nodes[n]);
        let keys = self.dir.room(room, node.view);
        let (owner, mirror) = (keys.owner, keys.mirror);
        let runs = node.control.rooms.contains_key(&room);
        let there = keys.record.as_ref().is_some_and(|stored| !stored.ended) && !runs && self.reads(n, room);
        let id = self.rooms[room].clone();
        let keys = [
            owner.map(|key| (&self.nodes[key.node].id, key.revision)),
            mirror.map(|key| (&self.nodes[key.node].id, key.revision)),
        ];
        let stays = |node: &_| {
            let member =
                self.number_of(Some(node)).and_then(|node| self.dir.member(node, self.nodes[n].view));
            member.is_some_and(|member| !member.draining)
        };
        let vacancy = there.then(|| Vacancy::of(&node.id, &id, self.dir.schema[room], keys, stays)).flatten();
        for office in [OfficeKind::Owner, OfficeKind::Mirror] {
            match vacancy.as_ref().filter(|vacancy| vacancy.office.kind() == office) {
                Some(vacancy) => {
                    candidacies.claims.vacant(time, vacancy);
                    candidacies.look_at = 0;
                }
                None => candidacies.claims.filled(&id, office),
            }
        }
        self.nodes[n].control.candidacies = candidacies;
    }

    /// Claims what is due.
    pub(super) fn claim(&mut self, n: NodeIx) {
        self.await_views(n);
        let node = &self.nodes[n];
        let candidacies = &node.control.candidacies;
        if !node.current || candidacies.claims.is_empty() || candidacies.look_at > self.now {
            return;
        }
        let mut claims = std::mem::take(&mut self.nodes[n].control.candidacies.claims);
        let (due, next) = {
            let nodes = self.candidates(n, |node| node.roles.origin);
            // What a node owns changes in a simulated view without a word.
            claims.nodes_changed();
            claims.due(self.time(), &self.nodes[n].id, &nodes)
        };
        let candidacies = &mut self.nodes[n].control.candidacies;
        candidacies.claims = claims;
        candidacies.look_at = next.map_or(u64::MAX, |next| next.as_millis());
        for claim in due {
            // What is claimed already, or waits for a place, is looked at again.
            self.nodes[n].control.candidacies.look_at = 0;
            if self.nodes[n].control.candidacies.under_way.len() < CLAIMS_AT_ONCE {
                self.stand(n, &claim);
            }
        }
    }

    fn stand(&mut self, n: NodeIx, claim: &Claim<Revision>) {
        let Some(room) = self.room_of(&claim.room) else { return };
        let control = &self.nodes[n].control;
        let runs = control.rooms.contains_key(&room) || control.candidacies.under_way.contains_key(&room);
        if runs || self.is_barred(n) {
            return;
        }
        let former = self.dir.last_owner(room, self.nodes[n].view, n).is_some();
        let candidacy = match claim.office {
            OfficeKind::Owner => Candidacy::of_owner(self.time().since(claim.since), former),
            OfficeKind::Mirror => Candidacy::of_mirror(),
        };
        let (serial, office, preempt) = (self.number(), claim.office, claim.preempt);
        let candidate =
            Candidate { serial, office, candidacy, preempt, won: None, asker: None, awaits: None };
        self.nodes[n].control.candidacies.under_way.insert(room, candidate);
        self.step(n, room);
    }

    /// An owner asks this node to mirror its room.
    pub(super) fn mirror_for(
        &mut self,
        n: NodeIx,
        room: RoomIx,
        from: NodeIx,
        ask: Ask,
        epoch: Epoch,
        preempt: Option<Revision>,
    ) {
        let control = &self.nodes[n].control;
        let owns = control.rooms.get(&room).map(|running| running.published.is_owner());
        let outcome = match owns {
            _ if self.check_place(n).is_err() => Some(self.check_place(n)),
            Some(true) => Some(Err(Fault::new(Code::WrongState, "it owns the room"))),
            Some(false) => Some(Ok(())),
            None if control.candidacies.under_way.contains_key(&room) => Some(Err(restarting())),
            None => None,
        };
        if let Some(outcome) = outcome {
            return self.tell(n, from, Message::Answer { to: ask, answer: Answer::Prepared(outcome) });
        }
        let (serial, candidacy, office) = (self.number(), Candidacy::of_mirror(), OfficeKind::Mirror);
        let (asker, awaits) = (Some((from, ask)), Some((epoch, self.now + VIEW_MS)));
        let candidate = Candidate { serial, office, candidacy, preempt, won: None, asker, awaits };
        self.nodes[n].control.candidacies.under_way.insert(room, candidate);
    }

    /// Goes on with what waited for the view.
    fn await_views(&mut self, n: NodeIx) {
        let waiting = self.nodes[n].control.candidacies.under_way.iter();
        let waiting: Vec<_> = waiting.filter_map(|(room, one)| Some((*room, one.awaits?))).collect();
        for (room, (epoch, until)) in waiting {
            let shown = self.dir.room(room, self.nodes[n].view).owner;
            let shows = shown.is_some_and(|owner| owner.epoch >= epoch && owner.node != n);
            if (shows || until <= self.now)
                && let Some(one) = self.nodes[n].control.candidacies.under_way.get_mut(&room)
            {
                one.awaits = None;
                if shows { self.step(n, room) } else { self.came(n, room, Came::Failed) }
            }
        }
    }

    /// Does what a candidacy says is next.
    fn step(&mut self, n: NodeIx, room: RoomIx) {
        let Some(candidate) = self.nodes[n].control.candidacies.under_way.get(&room) else { return };
        let (ask, preempt) = (Ask::Candidacy(room, candidate.serial), candidate.preempt);
        match candidate.candidacy.step() {
            Step::AskFormer => {
                let former = self.dir.last_owner(room, self.nodes[n].view, n);
                self.question(n, room, ask, former, false);
            }
            Step::AskOwner => {
                let owner = self.dir.room(room, self.nodes[n].view).owner.map(|owner| owner.node);
                self.question(n, room, ask, owner, false);
            }
            // Not after the claim: a node that cannot run the room would only let it go again.
            Step::Claim { .. } if !self.reads(n, room) => self.came(n, room, Came::Failed),
            Step::Claim { ahead } => {
                let seen = self.dir.highest_seen(room, self.nodes[n].view);
                let op = match candidate.office {
                    OfficeKind::Owner => Op::Claim { room, seen, preempt, from: self.slot().plus(ahead) },
                    OfficeKind::Mirror => Op::Mirror { room, preempt },
                };
                self.ask(n, ask, op);
            }
            Step::Run => {
                let came = self.run_won(n, room);
                self.came(n, room, came);
            }
            Step::Withdraw(_) => match candidate.won {
                Some(Won::Owner(Owner { revision, .. }, _) | Won::Mirror(Mirror { revision, .. })) => {
                    self.ask(n, ask, Op::Release { room, revision });
                }
                None => self.came(n, room, Came::Failed),
            },
            Step::Over(outcome) => self.over(n, room, outcome),
        }
    }

    fn came(&mut self, n: NodeIx, room: RoomIx, came: Came) {
        if let Some(candidate) = self.nodes[n].control.candidacies.under_way.get_mut(&room) {
            let before = candidate.candidacy.step();
            if candidate.candidacy.next(came) != before {
                self.step(n, room);
            }
        }
    }

    /// Runs the room that was claimed.
    fn run_won(&mut self, n: NodeIx, room: RoomIx) -> Came {
        let candidate = self.nodes[n].control.candidacies.under_way.get(&room);
        let (standing, record) = match candidate.and_then(|candidate| candidate.won.clone()) {
            Some(Won::Owner(owner, record)) => (Standing::<Sim>::Owner(self.owner_held(owner)), record),
            Some(Won::Mirror(mirror)) => {
                let keys = self.dir.room(room, self.nodes[n].view);
                let record = keys.record.as_ref().and_then(|stored| stored.record.clone());
                let Some(owner) = keys.owner.filter(|owner| owner.node != n) else { return Came::Failed };
                let (held, owner) = (self.mirror_held(mirror), self.owner_key(&owner));
                (Standing::Mirror { held, owner }, record)
            }
            None => return Came::Failed,
        };
        self.begin(n, room, standing, &record);
        Came::Runs
    }

    fn over(&mut self, n: NodeIx, room: RoomIx, outcome: Outcome) {
        let (time, id) = (self.time(), self.rooms[room].clone());
        let candidacies = &mut self.nodes[n].control.candidacies;
        let Some(Candidate { office, asker, .. }) = candidacies.under_way.remove(&room) else { return };
        match outcome {
            Outcome::Won => {}
            Outcome::Lost => candidacies.claims.restart(&id, office, time),
            Outcome::NotYet(wait) => candidacies.claims.shun(id, office, time + wait),
        }
        candidacies.look_at = 0;
        if let Some((owner, to)) = asker {
            let outcome = if outcome == Outcome::Won { Ok(()) } else { Err(restarting()) };
            self.tell(n, owner, Message::Answer { to, answer: Answer::Prepared(outcome) });
        }
        self.weigh(n, room);
    }

    /// The owner, or the former owner, has answered, or has not.
    pub(super) fn former_answered(&mut self, n: NodeIx, room: RoomIx, serial: u64, runs: bool) {
        if self.is_candidate(n, room, serial) {
            self.came(n, room, Came::Answered { runs });
        }
    }

    /// The directory has answered.
    pub(super) fn candidacy_answered(&mut self, n: NodeIx, room: RoomIx, serial: u64, answer: Answer) {
        if !self.is_candidate(n, room, serial) {
            return;
        }
        let (won, came) = match answer {
            Answer::Directory(Reply::Claimed(Ok((owner, record)))) => {
                (Some(Won::Owner(owner, record)), Came::Claimed)
            }
            Answer::Directory(Reply::Mirrored(Ok(mirror))) => (Some(Won::Mirror(mirror)), Came::Claimed),
            Answer::Directory(Reply::Claimed(Err(Refused::Owned(_)))) => (None, Came::Faster),
            _ => (None, Came::Failed),
        };
        if let Some(candidate) = self.nodes[n].control.candidacies.under_way.get_mut(&room) {
            candidate.won = won.or(candidate.won.take());
        }
        self.came(n, room, came);
    }

    fn is_candidate(&self, n: NodeIx, room: RoomIx, serial: u64) -> bool {
        let candidate = self.nodes[n].control.candidacies.under_way.get(&room);
        candidate.is_some_and(|candidate| candidate.serial == serial && candidate.awaits.is_none())
    }
}

fn restarting() -> Fault {
    Fault::new(Code::NoOwner, "its owner is being replaced")
}
