//! What must hold in the whole of a world, beyond what each listener, ring and record is checked for where it is.

use std::time::Duration;

use stentor_ids::{Epoch, Fault as Refusal, ParticipantId};
use stentor_mix::{LogEntry, Step, VoiceLog};
use stentor_ownership::Successor;
use stentor_pace::{Invariant, Violation, check};
use stentor_relay::{STUCK, StageId};
use stentor_room::Record;

use super::{
    audio::Decision,
    directory::RoomIx,
    fault::Fault,
    net::{DIRECTORY, NodeIx, millis},
    promise::Office,
    tap::{COUNT_MS, LISTENERS},
    world::World,
};

/// How late a decision of the owner's may be at the other origin: a link, and a step of it.
const GATE_MS: u64 = 30;
/// How late a decision may be in the packets that an origin mixes, where the edge hears it from the owner: three links and a
/// step of each, and what a packet waits.
const EDGE_MS: u64 = 150;
/// How long after a change of the stage a mirror may not be ready: what it keeps, and a link.
const READY_MS: u64 = 600;
/// How long an edge may have played nothing when all is well.
const PLAYS_MS: u64 = 100;
/// How long a key may name a living node that does not hold the office, in milliseconds, when nothing is wrong any more: a
/// claim that is given up unanswered, a pause, the wait for a key of one's own, and the claim over it.
const HELD_MS: u64 = 5_000;
/// How long an edge may be given nothing while somebody mixes whom its parents hear: until it is stuck, until it says so and
/// its relay says so, and for links, turns and the seam buffer.
const FED_MS: u64 = millis(STUCK) + 2 * COUNT_MS + 500;
/// How often that is looked at.
const LOOK_MS: u64 = 100;

impl World {
    /// `RoleGate`: who was muted is not mixed by an origin that could know, and who came to the stage is.
    pub(super) fn judge_gate(&mut self, n: NodeIx, room: RoomIx, entry: &LogEntry) {
        let decided = &self.audio[room].decided;
        let Some(known) = decided.iter().rposition(|one| self.could_know(n, room, one)) else { return };
        // What was decided since may be known already, or not.
        let since = || decided.range(known..);
        let may = |who| since().any(|one| one.open.contains(who));
        let mixed = |who: &ParticipantId| entry.voices.iter().any(|voice| voice.participant == *who);
        let (slot, at) = (entry.slot, decided[known].at);
        let muted = entry.voices.iter().map(|voice| &voice.participant).find(|who| !may(who));
        let missed =
            decided[known].open.iter().find(|who| since().all(|one| one.open.contains(who)) && !mixed(who));
        let detail = match (muted, missed) {
            (Some(who), _) => format!("{who} is in slot {slot} of room {room} at node {n}, muted at {at}"),
            (None, Some(who)) => {
                format!("{who} is not in slot {slot} of room {room} at node {n}, heard from {at} on")
            }
            (None, None) => return self.judge_edge(n, room, entry),
        };
        self.broken(Invariant::RoleGate.broken(detail));
    }

    /// The same of an origin that could not know: who is muted is kept back by the edge, which hears the owner.
    fn judge_edge(&mut self, n: NodeIx, room: RoomIx, entry: &LogEntry) {
        let decided = &self.audio[room].decided;
        let could_know = |one: &Decision| {
            self.goes_by(n, room, one.stage) && one.at > self.unwell_until && one.at + EDGE_MS < self.now
        };
        let Some(known) = decided.iter().rposition(could_know) else { return };
        let may = |who| decided.range(known..).any(|one| one.open.contains(who));
        let speaks = |voice: &&VoiceLog| voice.steps.iter().any(|step| matches!(step, Step::Packet(_)));
        let heard = entry.voices.iter().filter(speaks).find(|voice| !may(&voice.participant));
        if let Some(VoiceLog { participant, .. }) = heard {
            let (slot, at) = (entry.slot, decided[known].at);
            let detail =
                format!("{participant} is heard in slot {slot} of room {room} from node {n}, muted at {at}");
            self.broken(Invariant::RoleGate.broken(detail));
        }
    }

    /// Whether an origin that mixes can be asked to know of a decision of the owner that it works under: by the owner's stream
    /// if nothing is wrong, and by its record as soon as its view shows that.
    fn could_know(&self, n: NodeIx, room: RoomIx, decision: &Decision) -> bool {
        let Decision { at, stage, .. } = *decision;
        let Some(running) = self.nodes[n].control.rooms.get(&room) else { return false };
        if !self.goes_by(n, room, stage) || at + GATE_MS >= self.now {
            return false;
        }
        let told = self.epoch_of(n, room).is_some() || running.stream.connected && running.stream.heard > at;
        if told && at > self.trouble_until {
            return true;
        }
        let view = self.nodes[n].view;
        let shown = self.dir.room(room, view).record.as_ref().filter(|_| self.nodes[n].current);
        let shown = shown.and_then(|stored| {
            let record = Record::decode(stored.record.as_ref()?).ok()?;
            Some(StageId { epoch: stored.epoch, version: record.stage_version() })
        });
        shown.is_some_and(|shown| shown.epoch == stage.epoch && shown >= stage)
    }

    /// Whether a stage is of the owner by whose word an origin goes: one that gives way goes by its successor's.
    fn goes_by(&self, n: NodeIx, room: RoomIx, stage: StageId) -> bool {
        let owner = self.nodes[n].control.rooms.get(&room).map(|running| running.published.owner().epoch);
        let taken = self.audio[room].origins.get(&n).map(|origin| origin.staged.epoch);
        owner == Some(stage.epoch) && taken.is_none_or(|taken| taken <= stage.epoch)
    }

    /// `OwnerSettles`, where nothing else is wrong than that zones are cut from each other, or were. Rooms whose audio is simulated
    /// are bid for by what was reported a moment ago, the others by what is reached.
    pub(super) fn judge_settles(&mut self, n: NodeIx, room: RoomIx, former: Option<NodeIx>) {
        let Some(split) = self.split.as_mut().filter(|_| self.single) else { return };
        let outcome = split[room].changed();
        self.hold(outcome);
        let robbed = former.filter(|former| *former != n && !self.net.reaches(self.now, n, *former));
        let Some(former) = robbed.filter(|_| room >= self.audio.len()) else { return };
        let (less, more) = (self.reach(n, room), self.reach(former, room));
        if less <= more {
            let detail = format!(
                "node {n} took room {room} from node {former}, which reaches {more:?} where it reaches {less:?}"
            );
            self.broken(Invariant::OwnerSettles.broken(detail));
        }
    }

    /// `NoGap`, where at most one thing is wrong at a time. Of two zones that are cut from each other one may have no origin of a
    /// room, and an edge no parent.
    pub(super) fn judge_gap(&mut self, gap: Result<(), Violation>) {
        if self.single && self.split.is_none() && gap.is_err() {
            self.hold(gap);
        }
    }

    /// `EdgeFed`: who could be given slots is given some.
    pub(super) fn judge_fed(&mut self, edge: NodeIx, room: RoomIx) {
        if !self.now.is_multiple_of(LOOK_MS) {
            return;
        }
        let (time, could) = (self.time(), self.could_be_fed(edge, room));
        let tap = self.audio[room].taps.get_mut(&edge);
        let Some(listener) = tap.and_then(|tap| tap.listener.as_mut()) else { return };
        if !could {
            return listener.fed.fed(time);
        }
        if let Err(mut violation) = listener.fed.waits(time, Duration::from_millis(FED_MS)) {
            violation.detail = format!("edge {edge} of room {room}: {}", violation.detail);
            self.broken(violation);
        }
    }

    /// Whether a parent of an edge serves it that is an origin which leads, or is served by one.
    fn could_be_fed(&self, edge: NodeIx, room: RoomIx) -> bool {
        let audio = &self.audio[room];
        let Some(tap) = audio.taps.get(&edge) else { return false };
        let newest = tap.ring.epoch();
        // An owner of an epoch that is over is fenced off.
        let leads = |child: NodeIx, n: NodeIx| {
            audio.origins.get(&n).is_some_and(|origin| {
                let current = origin.machine.term().epoch >= newest && !origin.over;
                origin.machine.leads().is_some() && current && origin.children.contains(&child)
            }) && self.answers(child, n)
        };
        let passes = |child: NodeIx, n: NodeIx| {
            audio.taps.get(&n).is_some_and(|tap| {
                let served =
                    tap.open.iter().any(|(origin, life)| self.is(*origin, *life) && leads(n, *origin));
                tap.children.contains(&child) && served
            }) && self.answers(child, n)
        };
        let mut parents = tap.open.iter().filter(|(n, life)| self.is(*n, *life)).map(|(n, _)| *n);
        parents.any(|n| leads(edge, n) || passes(edge, n))
    }

    /// Whether this process of a node is its process.
    fn is(&self, n: NodeIx, life: u32) -> bool {
        self.nodes[n].life == life
    }

    /// Nobody takes a room from an owner that lives only because its key is gone.
    pub(super) fn judge_owner(&mut self, n: NodeIx, room: RoomIx, epoch: Epoch) {
        if !self.only_directory {
            return;
        }
        let runs =
            |other: &NodeIx| *other != n && self.epoch_of(*other, room).is_some() && self.answers(n, *other);
        let robbed = (0..self.nodes.len()).find(|other| runs(other) && !self.nodes[*other].draining);
        if let Some(other) = robbed {
            let detail = format!("node {n} took room {room} at epoch {epoch} from node {other}, which lives");
            self.broken(Invariant::OneWriter.broken(detail));
        }
    }

    /// At most one room in a hundred has moved while the directory was away.
    pub(super) fn judge_moves(&mut self) {
        let before = std::mem::take(&mut self.owners_before);
        if !self.only_directory {
            return;
        }
        let moved = |(room, owner): &(RoomIx, &Option<NodeIx>)| {
            owner.is_some() && self.dir.now(*room).owner.map(|owner| owner.node) != **owner
        };
        let moved = before.iter().enumerate().filter(moved).count();
        self.stats.moved = self.stats.moved.max(moved);
        if moved > before.len() / 100 {
            let detail = format!("{moved} of {} rooms moved while the directory was away", before.len());
            self.broken(Invariant::OneWriter.broken(detail));
        }
    }

    /// Everything is healed and had its time.
    pub(super) fn judge_end(&mut self) {
        self.judge_moves();
        for room in 0..self.rooms.len() {
            if let Err(detail) = self.is_held(room) {
                self.broken(Invariant::OneWriter.broken(detail));
            }
        }
        for room in 0..self.audio.len() {
            let outcome = self.is_on_air(room);
            self.hold(outcome);
        }
    }

    /// Whether a room has one owner, who knows it, and a mirror if there is anyone to be it.
    fn is_held(&self, room: RoomIx) -> Result<(), String> {
        let keys = self.dir.now(room);
        let runners: Vec<_> = (0..self.nodes.len()).filter(|n| self.epoch_of(*n, room).is_some()).collect();
        if keys.record.is_none() && runners.is_empty() {
            // Its directory was wiped while it had no owner.
            return Ok(());
        }
        let owner = keys.owner.map(|owner| owner.node);
        if runners != Vec::from_iter(owner) {
            return Err(format!("room {room} is run by nodes {runners:?}; the directory names {owner:?}"));
        }
        if keys.record.as_ref().is_some_and(|stored| stored.ended) {
            return Ok(());
        }
        let able = |n: &NodeIx| self.nodes[*n].roles.origin && self.reads(*n, room);
        let others = (0..self.nodes.len()).filter(|n| able(n) && Some(*n) != owner);
        let mirror = keys.mirror.map(|mirror| mirror.node);
        let mirrors: Vec<_> = (0..self.nodes.len()).filter(|n| self.mirrors(*n, room)).collect();
        if others.count() > 0 && mirror.is_none() || mirrors != Vec::from_iter(mirror) {
            return Err(format!(
                "room {room} is mirrored by nodes {mirrors:?}; the directory names {mirror:?}"
            ));
        }
        Ok(())
    }

    /// Whether one origin mixes, the other is ready, every edge plays, and the count is right.
    fn is_on_air(&self, room: RoomIx) -> Result<(), Violation> {
        let keys = self.dir.now(room);
        let Some(owner) = keys.owner else { return Ok(()) };
        let audio = &self.audio[room];
        let leaders: Vec<_> =
            audio.origins.iter().filter(|(_, origin)| origin.machine.leads().is_some()).collect();
        if leaders.len() != 1 {
            let leaders: Vec<_> = leaders.iter().map(|(n, _)| **n).collect();
            return Err(Invariant::SlotOnce.broken(format!("nodes {leaders:?} mix room {room}")));
        }
        // Whoever is heard again is so at the owner first: what came until the mirror knew is not in its history.
        let settled = audio.decided.back().is_none_or(|one| one.at + READY_MS < self.now);
        for (n, origin) in &audio.origins {
            if settled && !origin.is_ready() {
                let why = origin.history.ready(stentor_mix::HISTORY_SLOTS);
                return Err(Invariant::MirrorReady.broken(format!("node {n} of room {room}: {why:?}")));
            }
        }
        for (edge, tap) in &audio.taps {
            let Some(listener) = &tap.listener else { continue };
            if listener.played.is_none_or(|(_, at)| at + PLAYS_MS < self.now) {
                let detail = format!("edge {edge} plays nothing of room {room} since {:?}", listener.played);
                return Err(Invariant::NoGap.broken(detail));
            }
            check::bounded("playout", listener.playout.pending(), stentor_relay::PENDING_FRAMES)?;
        }
        let Some(origin) = audio.origins.get(&owner.node) else { return Ok(()) };
        let sum = origin.counts.sum(self.time());
        let reports = audio.edges.iter().map(|_| LISTENERS);
        check::count_sum(sum.listeners, sum.reporting as usize, reports)
    }

    /// Something goes wrong, until then: nothing is promised of what is under way.
    pub(super) fn disturb(&mut self, fault: Fault, until: u64) {
        // A view that is late must not hinder a move.
        if matches!(fault, Fault::Lag { .. }) {
            return;
        }
        self.promises.moves.clear();
        self.promises.calm = self.promises.disturbed <= self.now;
        self.promises.disturbed = self.promises.disturbed.max(until);
    }

    /// An operator moves a room. It is to succeed if nothing is wrong and the heir may take it.
    pub(super) fn promise_move(&mut self, owner: NodeIx, room: RoomIx, to: NodeIx, token: u64) {
        let ended = self.dir.now(room).record.as_ref().is_none_or(|stored| stored.ended);
        let takes = self.awake(to) && self.nodes[to].current && self.check_place(to).is_ok();
        let ranked = self.heirs(owner, room).contains(&self.nodes[to].id);
        if self.promises.calm && takes && ranked && !ended && self.is_held(room).is_ok() {
            self.promises.moves.insert(token, (room, to));
        }
    }

    /// Whoever moved a room is told what came of it.
    pub(super) fn moved(&mut self, token: u64, outcome: &Result<Successor, Refusal>) {
        self.answer_command(token);
        let Some((room, to)) = self.promises.moves.remove(&token) else { return };
        let detail = match outcome {
            Ok(successor) if self.number_of(Some(&successor.node)) == Some(to) => return,
            Ok(successor) => format!("room {room} went to {}, not to node {to}", successor.node),
            Err(fault) => format!("room {room} did not go to node {to}, and nothing was wrong: {fault}"),
        };
        self.broken(Invariant::MoveGoes.broken(detail));
    }

    /// No key stands for long at a living node that does not hold its office: nobody else would claim it.
    pub(super) fn judge_keys(&mut self) {
        for room in 0..self.rooms.len() {
            let keys = self.dir.now(room);
            let owner = keys.owner.map(|key| key.node).filter(|n| self.epoch_of(*n, room).is_none());
            let mirror = keys.mirror.map(|key| key.node).filter(|n| !self.mirrors(*n, room));
            self.judge_key(room, Office::Owner, owner);
            self.judge_key(room, Office::Mirror, mirror);
        }
    }

    /// A key of a room names a node that does not hold the office, or does not.
    fn judge_key(&mut self, room: RoomIx, office: Office, idle: Option<NodeIx>) {
        let (now, place) = (self.now, (room, office));
        let lives = |n: &NodeIx| {
            self.nodes[*n].current
                && !self.nodes[*n].draining
                && self.awake(*n)
                && self.answers(DIRECTORY, *n)
        };
        let Some(n) = idle.filter(lives) else {
            self.promises.idle.remove(&place);
            return;
        };
        let known = self.promises.idle.entry(place).or_insert((n, now));
        if known.0 != n {
            *known = (n, now);
        }
        let since = known.1.max(self.trouble_until);
        if now.saturating_sub(since) > HELD_MS {
            let detail = format!(
                "the {office:?}'s key of room {room} names node {n}, which runs it not, since {since}"
            );
            self.broken(Invariant::OneWriter.broken(detail));
        }
    }
}
