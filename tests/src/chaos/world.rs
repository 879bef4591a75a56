//! A cluster on wires that can be broken, with people in it: it carries plans out, waits until all is well again, and reads
//! off what was noticed meanwhile.
//!
//! A round is: all is well, a mark, a moment, the plan, all is well, the figures.

mod steps;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    time::Duration,
};

use anyhow::{Context, Result};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use stentor_ids::Epoch;
use stentor_proto::v1::Room;
use tokio::time::sleep;

use super::{
    audience::Audience,
    cpu::Stretch,
    fault::Fault,
    journal::{Entry, Journal},
    plan::{Plan, Scene, Step},
    table::{Others, Outcome},
    talks::Talks,
    watchers::{AnotherOwner, Operator, is_well},
    wires::Wires,
};
use crate::{
    cluster::{Cluster, Extras, Shape},
    process::{Process, eventually},
};

/// The room that everyone is in.
const ROOM: &str = "talk";
/// Other rooms, half of them on the air and silent, half with open doors: what they do without a directory is counted.
const OTHERS: usize = 20;
/// What rooms are called that nobody owns: they are only recorded in the directory. Every fifth is over.
const PLANNED: &str = "plan-";
/// Longest wait until all is well.
const WELL: Duration = Duration::from_secs(60);
/// How long a cluster may take to show that it has mirrors; one that does not is not waited for again.
const MIRRORED: Duration = Duration::from_secs(10);
/// How long a node may take to leave by itself: its drain, and a little.
const LEAVE: Duration = Duration::from_secs(30);
/// How long someone who joins may take to hear the room.
const JOIN: Duration = Duration::from_secs(10);
/// What of a round is calm, before the fault (at least) and after it: trees and counts settle within.
const CALM: Duration = Duration::from_millis(1000);

/// How a world is set up.
#[derive(Debug, Clone, Copy)]
pub struct Setting {
    /// Nodes.
    pub shape: Shape,
    /// Members of etcd.
    pub members: usize,
    /// Listeners over all edges, recorders included.
    pub listeners: usize,
    /// Recorders at each edge.
    pub recorders: usize,
    /// Other rooms that talk at the same time.
    pub talking: usize,
    /// Rooms that are scheduled, or over: nobody owns them, and no directory may lose them.
    pub scheduled: usize,
    /// How long etcd stays dead when it is killed.
    pub hold: Duration,
    /// How long a node may take to leave; it takes some of that, as it lets its people go one by one.
    pub drain: Duration,
    /// The seam buffer of the edges, which does not grow: how long a slot may take before it is missing.
    pub buffer: Duration,
    /// What jitter and loss are drawn from.
    pub seed: u64,
}

impl Default for Setting {
    /// Three origins, so that there is one left to become the mirror; two hundred listeners over two edges.
    fn default() -> Self {
        Self {
            shape: Shape { origins: 3, ..Shape::default() },
            members: 1,
            listeners: 200,
            recorders: 4,
            talking: 0,
            scheduled: 20,
            hold: Duration::from_secs(10),
            drain: Duration::from_secs(20),
            buffer: Duration::from_millis(60),
            seed: 1,
        }
    }
}

impl Setting {
    /// For tests that must hold on a machine which others keep busy, where every process may stand still for longer than
    /// the usual seam buffer: a small crowd, and a buffer that such stalls fit into. What is lost is still lost.
    #[must_use]
    pub fn unhurried(seed: u64) -> Self {
        Self { listeners: 60, buffer: Duration::from_millis(250), seed, ..Self::default() }
    }
}

/// The cluster and its people. Dropping it ends everything.
#[derive(Debug)]
pub struct World {
    // People leave before their cluster does.
    audience: Audience,
    talks: Talks,
    operators: Vec<Operator>,
    journal: Journal,
    cluster: Cluster,
    setting: Setting,
    mirrored: bool,
    others: bool,
    /// What the next rolling restart goes over to: nothing, or a build, `None` for this one.
    build: Option<Option<PathBuf>>,
}

impl World {
    /// Starts everything, and waits until the room is heard.
    ///
    /// # Errors
    /// When something does not start.
    pub async fn start(setting: Setting) -> Result<Self> {
        Self::start_from(setting, None).await
    }

    /// The same with nodes of another build, if one is given: each rolling restart goes from the one to the other.
    ///
    /// # Errors
    /// As [`World::start`].
    pub async fn start_from(setting: Setting, stentor: Option<PathBuf>) -> Result<Self> {
        let build = stentor.is_some().then_some(None);
        let wires = Some(Wires::new(setting.seed));
        let settings = vec![
            format!("node.drain_timeout_s={}", setting.drain.as_secs()),
            format!("edge.buffer_ms={}", setting.buffer.as_millis()),
            // What a buffer that grows would hide is to be seen.
            "edge.buffer_max_ms=0".to_owned(),
        ];
        let extras = Extras { wires, members: setting.members, settings, stentor, ..Extras::default() };
        let mut cluster = Cluster::start_with(setting.shape, extras).await?;
        let journal = Journal::follow(cluster.etcd().members());
        let operators = (0..cluster.edge_count()).map(|edge| Operator::at(&cluster, edge));
        let operators = operators.collect::<Result<Vec<_>>>()?;
        cluster.live_room(ROOM).await?;
        let audience = Audience::gather(&cluster, ROOM, setting.recorders, setting.listeners).await?;
        let talks = Talks::gather(&cluster, &operators[0], setting.talking).await?;
        let (mirrored, others) = (false, false);
        let mut world =
            Self { audience, talks, operators, journal, cluster, setting, mirrored, others, build };
        let ready = eventually("a ready mirror", MIRRORED, || async {
            world.status().await.ok().filter(|status| status.mirror_ready())
        });
        world.mirrored = ready.await.is_ok();
        Ok(world)
    }

    /// Whether rooms have mirrors here.
    #[must_use]
    pub const fn mirrored(&self) -> bool {
        self.mirrored
    }

    /// The cluster itself.
    #[must_use]
    pub const fn cluster(&self) -> &Cluster {
        &self.cluster
    }

    /// One fault, drawn from a seed, and what was noticed of it.
    ///
    /// # Errors
    /// When all is not well before it, or not again after it.
    pub async fn round(&mut self, fault: Fault, seed: u64) -> Result<Outcome> {
        if fault.takes_directory() {
            self.open_others().await?;
        }
        let status = self.settled().await.context("before the fault")?;
        let scene = self.scene(&status);
        let mut random = StdRng::seed_from_u64(seed);
        let plan = fault.plan(&scene, self.setting.hold, &mut random);
        let before = self.journal.rooms();
        self.journal.violations();
        self.audience.mark();
        self.talks.mark();
        let calm = Stretch::begin(&self.cluster)?;
        sleep(CALM.mul_f64(0.5 + random.random::<f64>())).await;

        let takeover = AnotherOwner::expect(&self.operators, ROOM, Epoch(status.epoch));
        let mut outcome = Outcome::new(fault, seed, self.tell(&plan, &status));
        outcome.load = calm.load()?;
        if let Some(build) = self.build.take_if(|_| fault == Fault::RollingRestart) {
            outcome.story.push_str(if build.is_some() { ", to the other build" } else { ", to this build" });
            self.build = Some(self.cluster.change_build(build));
        }
        let story = outcome.story.clone();
        self.carry_out(&plan, &mut outcome).await.with_context(|| story)?;
        let now = self.well().await.with_context(|| format!("after {}", outcome.story))?;
        outcome.owners = now.epoch.saturating_sub(status.epoch);
        if fault.takes_directory() {
            outcome.others = Some(self.compare(&before).await);
        }
        sleep(CALM).await;

        let spared = |edge: usize| !plan.kills(&scene.edges[edge]) && !plan.strands(&scene.edges[edge]);
        outcome.read(&self.audience.given(spared), self.talks.given(spared));
        outcome.takeover = takeover.took().filter(|_| !fault.is_planned());
        outcome.violations = self.journal.violations();
        outcome.hung_up = if fault.is_planned() { 0 } else { self.audience.gone(spared) };
        Ok(outcome)
    }

    /// Writes what is heard at the first edge into an Ogg/Opus file, until the guard is dropped or told to end (SIGINT).
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn record(&self, file: &Path) -> Result<Process> {
        self.cluster.listen_to_file(0, ROOM, file)
    }

    async fn status(&self) -> Result<Room> {
        let mut refusal = None;
        for operator in &self.operators {
            match operator.room(ROOM).await {
                Ok(status) => return Ok(status),
                Err(error) => refusal = Some(error),
            }
        }
        Err(refusal.context("there is no operator")?)
    }

    fn scene(&self, status: &Room) -> Scene {
        let tier = |name: &str| -> Vec<String> {
            self.cluster.names().into_iter().filter(|node| node.starts_with(name)).collect()
        };
        Scene {
            owner: status.owner.clone(),
            leader: Some(&status.leader).filter(|leader| !leader.is_empty()).unwrap_or(&status.owner).clone(),
            mirror: Some(status.mirror.clone()).filter(|mirror| !mirror.is_empty()),
            origins: tier("origin"),
            relays: tier("relay"),
            edges: tier("edge"),
            members: self.setting.members,
        }
    }

    fn tell(&self, plan: &Plan, status: &Room) -> String {
        let Plan(steps) = plan;
        let harms = steps.iter().filter(|(_, step)| !matches!(step, Step::Mend(..) | Step::Wire(..)));
        let mut told: Vec<String> = harms.map(|(at, step)| format!("{step:?} at {at:?}")).collect();
        let wires = steps.iter().filter(|(_, step)| matches!(step, Step::Wire(..))).count();
        if wires > 0 {
            told.push(format!("{wires} wires"));
        }
        format!(
            "owner {}, mirror {:?}, mixed by {:?}: {}",
            status.owner,
            status.mirror,
            status.leader,
            told.join(", ")
        )
    }

    /// Everyone is in their place, and all is well.
    async fn settled(&mut self) -> Result<Room> {
        self.well().await?;
        let Setting { recorders, listeners, .. } = self.setting;
        self.audience.settle(&self.cluster, recorders, listeners).await?;
        self.talks.settle(&self.cluster)?;
        self.well().await
    }

    /// All is well: the room is, and every other one that talks; everyone hears theirs.
    async fn well(&self) -> Result<Room> {
        let last = std::cell::RefCell::new(String::new());
        let status = eventually("the room to be well", WELL, || async {
            let answer = self.status().await;
            *last.borrow_mut() = format!("{answer:?}");
            answer.ok().filter(|status| is_well(status, self.mirrored))
        });
        let status = status.await.with_context(|| format!("the last answer was {}", last.borrow()))?;
        self.audience.hears().await?;
        self.talks.well(&self.operators[0], self.mirrored, WELL).await?;
        Ok(status)
    }

    /// Opens the other rooms, once.
    async fn open_others(&mut self) -> Result<()> {
        if self.others {
            return Ok(());
        }
        let operator = &self.operators[0];
        for index in 0..OTHERS {
            let room = format!("side-{index}");
            operator.open(&room).await?;
            if index % 2 == 0 {
                let live = || async { operator.go_live(&room).await.ok() };
                eventually(&format!("{room} to go live"), JOIN, live).await?;
            }
        }
        for index in 0..self.setting.scheduled {
            operator.plan(&format!("{PLANNED}{index}"), index % 5 == 4).await?;
        }
        self.others = true;
        self.recorded(1 + OTHERS + self.setting.scheduled).await?;
        self.owned(WELL).await
    }

    /// Waits until so many rooms are in the directory.
    async fn recorded(&self, rooms: usize) -> Result<()> {
        eventually("every room to be in the directory", WELL, || async {
            let there = self.journal.rooms().values().filter(|entry| entry.recorded).count();
            (there >= rooms).then_some(())
        })
        .await
    }

    /// Waits until every room that should have an owner has one.
    async fn owned(&self, within: Duration) -> Result<()> {
        eventually("every room to have an owner", within, || async {
            let rooms = self.journal.rooms();
            let owned = |(room, entry): (&String, &Entry)| room.starts_with(PLANNED) || entry.owner.is_some();
            (rooms.len() > OTHERS && rooms.iter().all(owned)).then_some(())
        })
        .await
    }

    /// How many rooms are not where they were, or nowhere. One without an owner counts as moved.
    async fn compare(&self, before: &BTreeMap<String, Entry>) -> Others {
        // Rooms that stay without an owner are told as moved, and those that stay away as lost.
        let _ = self.owned(WELL).await;
        let _ = self.recorded(before.len()).await;
        let after = self.journal.rooms();
        let owned = || before.iter().filter(|(_, entry)| entry.owner.is_some());
        let moved = |(room, entry): &(&String, &Entry)| {
            after.get(*room).is_none_or(|now| now.owner.is_none() || now.owner != entry.owner)
        };
        let lost = |room: &&String| !after.get(*room).is_some_and(|now| now.recorded);
        Others {
            rooms: owned().count(),
            moved: owned().filter(moved).count(),
            lost: before.keys().filter(lost).count(),
        }
    }
}
