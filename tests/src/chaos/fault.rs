//! The faults, by name, and what each does to whom and when. Pure: a fault, a scene and a seed make a plan; the world
//! carries it out.
//!
//! | fault | what happens | what an aim says |
//! |---|---|---|
//! | `calm` | nothing: what the other figures are to be compared with | no slot missing |
//! | `kill-owner`, `kill-mirror`, `kill-relay` | kill -9, started again after some seconds | no slot missing |
//! | `kill-edge` | the same; the listeners of the other edges are the ones that count | no slot missing |
//! | `pause-owner-short`, `pause-owner-long` | SIGSTOP for 0.2 s or 5 s, then SIGCONT | no slot missing, no stale commit |
//! | `pause-leader` | SIGSTOP for 0.2 s to who mixes, which after a pause of the owner is the mirror | no slot missing |
//! | `cut-origins` | owner and mirror cannot reach each other | no slot missing |
//! | `cut-origins-drain` | owner and mirror cannot reach each other; everybody hears the owner late for a moment and goes over to the mirror, which then leaves, by SIGTERM or kill -9 | everyone hears the owner again |
//! | `cut-zones` | half of the nodes cannot reach the other half for 30 s, all reach the directory; listeners of the half that has more of them count | no slot missing, one change of owner at most, a mute within 200 ms |
//! | `cut-owner`, `-out`, `-in` | nothing to or from the owner arrives; nothing from it; nothing to it | no slot missing, no stale commit |
//! | `cut-directory` | the owner cannot reach the directory | no slot missing |
//! | `rough-links` | delay, jitter and loss on every link | no slot missing |
//! | `kill-member` | kill -9 of one member of etcd; needs three | no slot missing |
//! | `kill-etcd`, `wipe-etcd` | etcd is gone for a while; comes back as it was, or empty | no slot missing, joins work, 1 % of rooms move |
//! | `clock-jump` | the wall clock of owner, mirror or a relay jumps by 2 s or 11 min, either way, and back | no slot missing |
//! | `rolling-restart` | SIGTERM to each node in turn, started again | no slot missing for who follows the hint |
//! | `kill-both-origins` | kill -9 of owner and mirror | slots never go back |
//! | `double` | two of the others, at most a second apart | slots never go back |

#[cfg(test)]
mod tests;

use std::{fmt, str::FromStr, time::Duration};

use anyhow::{Context, Result};
use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, IteratorRandom},
};

use super::{
    plan::{Jump, Plan, Scene, Step},
    wires::{DIRECTORY, Rule},
};

const fn secs(count: u64) -> Duration {
    Duration::from_secs(count)
}

const SHORT_PAUSE: Duration = Duration::from_millis(200);
const LONG_PAUSE: Duration = secs(5);
/// How long a killed node is gone: longer than its lease, so that everyone has noticed.
const GONE: Duration = secs(6);
/// How long links are broken: longer than a lease, and than HTTP/2's pings take to notice a black hole.
const BROKEN: Duration = secs(7);
/// By how much the owner is late until everyone goes over to the mirror, and for how long: more than a seam buffer, and less
/// than it takes until relays do not hear the owner any more.
const LATE: Duration = Duration::from_millis(400);
const LATE_FOR: Duration = secs(1);
/// How long the mirror is gone that everybody went over to: longer than it may take until they hear the owner.
const ALONE: Duration = secs(12);
/// How long two zones are cut from each other.
const SPLIT: Duration = secs(30);
/// How far a clock may jump: within what is told and no more, and beyond every grace there is.
const JUMPS: [Jump; 4] = [Jump(2_000), Jump(-2_000), Jump(660_000), Jump(-660_000)];
/// Longest time between the two halves of a double fault.
const APART: Duration = secs(1);

macro_rules! faults {
    ($($name:ident = $text:literal),+ $(,)?) => {
        /// What can be done to a cluster.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        #[expect(missing_docs, reason = "the table above says what each is")]
        pub enum Fault { $($name),+ }

        impl Fault {
            /// All of them.
            pub const ALL: &[Self] = &[$(Self::$name),+];

            /// Its name on the command line.
            #[must_use]
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$name => $text),+ }
            }
        }
    };
}

faults! {
    Calm = "calm",
    KillOwner = "kill-owner",
    KillMirror = "kill-mirror",
    KillRelay = "kill-relay",
    KillEdge = "kill-edge",
    PauseOwnerShort = "pause-owner-short",
    PauseOwnerLong = "pause-owner-long",
    PauseLeader = "pause-leader",
    CutOrigins = "cut-origins",
    CutOriginsDrain = "cut-origins-drain",
    CutZones = "cut-zones",
    CutOwner = "cut-owner",
    CutOwnerOut = "cut-owner-out",
    CutOwnerIn = "cut-owner-in",
    CutDirectory = "cut-directory",
    RoughLinks = "rough-links",
    KillMember = "kill-member",
    KillEtcd = "kill-etcd",
    WipeEtcd = "wipe-etcd",
    ClockJump = "clock-jump",
    RollingRestart = "rolling-restart",
    KillBothOrigins = "kill-both-origins",
    Double = "double",
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Fault {
    type Err = anyhow::Error;

    fn from_str(text: &str) -> Result<Self> {
        let names = || Self::ALL.iter().map(|fault| fault.as_str()).collect::<Vec<_>>().join(", ");
        let found = Self::ALL.iter().find(|fault| fault.as_str() == text).copied();
        found.with_context(|| format!("no fault {text:?}; there are {}", names()))
    }
}

impl Fault {
    /// Whether it is one failure, of which listeners are to hear nothing.
    #[must_use]
    pub const fn is_single(self) -> bool {
        !matches!(self, Self::KillBothOrigins | Self::Double | Self::CutOriginsDrain)
    }

    /// Whether nodes leave by plan, and the room changes its owner without a failure.
    #[must_use]
    pub const fn is_planned(self) -> bool {
        matches!(self, Self::RollingRestart)
    }

    /// Whether the whole directory is gone, so that what other rooms do is of interest.
    #[must_use]
    pub const fn takes_directory(self) -> bool {
        matches!(self, Self::KillEtcd | Self::WipeEtcd)
    }
}

impl Fault {
    /// What it does in this scene. `hold` is how long etcd stays dead.
    #[must_use]
    pub fn plan(self, scene: &Scene, hold: Duration, random: &mut StdRng) -> Plan {
        let any = |nodes: &[String], random: &mut StdRng| nodes.choose(random).cloned().unwrap_or_default();
        match self {
            Self::Calm => Plan::default().then(Duration::ZERO, [Step::Wait]).then(GONE, [Step::Wait]),
            Self::KillOwner => killed([scene.owner.clone()]),
            Self::KillMirror => killed([scene.second(random)]),
            Self::KillRelay => killed([any(&scene.relays, random)]),
            Self::KillEdge => killed([any(&scene.edges, random)]),
            Self::KillBothOrigins => killed([scene.owner.clone(), scene.second(random)]),
            Self::PauseOwnerShort => paused(&scene.owner, SHORT_PAUSE),
            Self::PauseOwnerLong => paused(&scene.owner, LONG_PAUSE),
            Self::PauseLeader => paused(&scene.leader, SHORT_PAUSE),
            Self::CutOrigins => {
                let second = scene.second(random);
                broken([(&scene.owner, &second), (&second, &scene.owner)])
            }
            Self::CutOriginsDrain => alone(scene, random),
            Self::CutZones => split(scene, random),
            Self::CutOwner => {
                let others = others(scene);
                let ways = others.iter().flat_map(|node| [(&scene.owner, node), (node, &scene.owner)]);
                broken(ways)
            }
            Self::CutOwnerOut => broken(others(scene).iter().map(|node| (&scene.owner, node))),
            Self::CutOwnerIn => broken(others(scene).iter().map(|node| (node, &scene.owner))),
            Self::CutDirectory => {
                let directory = DIRECTORY.to_owned();
                broken([(&scene.owner, &directory), (&directory, &scene.owner)])
            }
            Self::RoughLinks => rough(scene, random),
            Self::KillMember => Plan::default()
                .then(Duration::ZERO, [Step::KillMember(random.random_range(0..scene.members.max(1)))])
                .then(GONE, [Step::StartEtcd]),
            Self::KillEtcd => without_etcd(Step::KillEtcd, hold),
            Self::WipeEtcd => without_etcd(Step::WipeEtcd, hold),
            Self::ClockJump => {
                let node = [scene.owner.clone(), scene.second(random), any(&scene.relays, random)];
                jumped(any(&node, random), JUMPS.choose(random).copied().unwrap_or_default())
            }
            Self::RollingRestart => {
                Plan::default().then(Duration::ZERO, scene.everyone().cloned().map(Step::Recycle))
            }
            Self::Double => double(scene, hold, random),
        }
    }
}

fn killed(nodes: impl IntoIterator<Item = String> + Clone) -> Plan {
    let (kill, start) = (nodes.clone().into_iter().map(Step::Kill), nodes.into_iter().map(Step::Start));
    Plan::default().then(Duration::ZERO, kill).then(GONE, start)
}

fn paused(node: &str, length: Duration) -> Plan {
    Plan::default().then(Duration::ZERO, [Step::Pause(node.into())]).then(length, [Step::Resume(node.into())])
}

fn jumped(node: String, by: Jump) -> Plan {
    let jump = Step::Clock(node.clone(), by);
    Plan::default().then(Duration::ZERO, [jump]).then(BROKEN, [Step::Clock(node, Jump::default())])
}

fn others(scene: &Scene) -> Vec<String> {
    let nodes = scene.everyone().filter(|node| **node != scene.owner).cloned();
    nodes.chain([DIRECTORY.to_owned()]).collect()
}

fn broken<'a>(ways: impl IntoIterator<Item = (&'a String, &'a String)>) -> Plan {
    let ways: Vec<_> = ways.into_iter().collect();
    let hole = ways.iter().map(|(from, to)| Step::Wire((*from).clone(), (*to).clone(), Rule::Hole));
    let mend = ways.iter().map(|(from, to)| Step::Mend((*from).clone(), (*to).clone()));
    Plan::default().then(Duration::ZERO, hole).then(BROKEN, mend)
}

/// The owner hears no other origin, and its mirror leaves that everybody has gone over to.
fn alone(scene: &Scene, random: &mut StdRng) -> Plan {
    let (owner, second) = (&scene.owner, scene.second(random));
    let others = scene.origins.iter().filter(|origin| *origin != owner);
    let late = Rule::Rough { delay: LATE, jitter: Duration::ZERO, loss: 0 };
    let wires = scene.relays.iter().map(|relay| Step::Wire(owner.clone(), relay.clone(), late));
    let mend = scene.relays.iter().map(|relay| Step::Mend(owner.clone(), relay.clone()));
    let leaves = if random.random() { Step::Leave(second.clone()) } else { Step::Kill(second.clone()) };
    let (from, gone) = (secs(1), secs(1) + 2 * LATE_FOR);
    let Plan(cut) = broken(others.flat_map(|other| [(owner, other), (other, owner)]));
    let (holes, mended) = cut.into_iter().partition::<Vec<_>, _>(|(at, _)| at.is_zero());
    Plan(holes)
        .then(from, wires)
        .then(from + LATE_FOR, mend)
        .then(gone, [leaves])
        .then(gone + ALONE, mended.into_iter().map(|(_, step)| step))
        .then(gone + ALONE, [Step::Start(second)])
}

/// The owner and its mirror are on two sides, and it is drawn which of them reaches more: that side has a relay of two, and all
/// edges but one of three, the first among them.
fn split(scene: &Scene, random: &mut StdRng) -> Plan {
    let second = scene.second(random);
    let stranded = if random.random() { &scene.owner } else { &second };
    let drawn = |origin: &&String| **origin != scene.owner && **origin != second && random.random();
    let mut part: Vec<String> = scene.origins.iter().filter(drawn).cloned().collect();
    part.push(stranded.clone());
    part.extend(scene.relays.iter().skip(1).step_by(2).cloned());
    part.extend(scene.edges.iter().skip(2).step_by(3).cloned());
    Plan::default()
        .then(Duration::ZERO, [Step::Split(part.clone())])
        .then(SPLIT / 2, [Step::Mute])
        .then(SPLIT, [Step::Heal(part)])
}

/// A bad network, within what the seam buffer is for: up to 20 ms late, one piece in 200 sent again.
fn rough(scene: &Scene, random: &mut StdRng) -> Plan {
    let mut plan = Plan::default();
    for from in scene.everyone() {
        for to in scene.everyone().filter(|to| *to != from) {
            let delay = Duration::from_millis(random.random_range(1..10));
            let rule = Rule::Rough { delay, jitter: Duration::from_millis(10), loss: 0 };
            plan = plan.then(Duration::ZERO, [Step::Wire(from.clone(), to.clone(), rule)]);
            plan = plan.then(BROKEN, [Step::Mend(from.clone(), to.clone())]);
        }
    }
    // Half a percent of loss on one link: the pieces that are lost come a retransmission later than the rest.
    if let (Some(from), Some(to)) = (scene.relays.choose(random), scene.edges.choose(random)) {
        let (delay, jitter) = (Duration::from_millis(5), Duration::from_millis(10));
        let rule = Rule::Rough { delay, jitter, loss: 1 };
        plan = plan.then(Duration::ZERO, [Step::Wire(from.clone(), to.clone(), rule)]);
    }
    plan.0.sort_by_key(|(at, _)| *at);
    plan
}

fn without_etcd(blow: Step, hold: Duration) -> Plan {
    Plan::default()
        .then(Duration::ZERO, [blow])
        .then(hold.mul_f64(0.5), [Step::Join])
        .then(hold, [Step::StartEtcd])
}

fn double(scene: &Scene, hold: Duration, random: &mut StdRng) -> Plan {
    let fits = |fault: &&Fault| match **fault {
        Fault::Calm | Fault::Double | Fault::RollingRestart | Fault::KillBothOrigins => false,
        Fault::CutOriginsDrain | Fault::CutZones => false,
        Fault::KillMember => scene.members > 1,
        _ => true,
    };
    let two = Fault::ALL.iter().copied().filter(|fault| fits(&fault)).sample(random, 2);
    let apart = APART.mul_f64(random.random());
    let mut plans = two.iter().map(|fault| fault.plan(scene, hold, random));
    let (first, second) = (plans.next().unwrap_or_default(), plans.next().unwrap_or_default());
    first.and(second.later(apart))
}
