//! How a plan is carried out, step by step.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::Signal;
use tokio::time::{sleep, sleep_until};

use super::{JOIN, LEAVE, ROOM, World};
use crate::{
    chaos::{
        audience::VOICES,
        plan::{Jump, Plan, Step},
        table::Outcome,
        wires::{Rule, Wires},
    },
    listening::Listening,
};

impl World {
    /// Does what the plan says, when it says, and tells what came of it at once.
    pub(super) async fn carry_out(&mut self, Plan(steps): &Plan, outcome: &mut Outcome) -> Result<()> {
        let start = tokio::time::Instant::now();
        for (at, step) in steps {
            sleep_until(start + *at).await;
            match step {
                Step::Wait => {}
                Step::Kill(node) => self.cluster.kill(node)?,
                Step::Pause(node) => self.cluster.node(node)?.signal(Signal::STOP)?,
                Step::Resume(node) => self.resume(node)?,
                Step::Start(node) => self.cluster.restart(node).await?,
                Step::Recycle(node) => self.recycle(node).await?,
                Step::Leave(node) => self.leave(node).await?,
                Step::Wire(from, to, rule) => self.wires()?.set(from, to, *rule),
                Step::Mend(one, other) => self.wires()?.set_between(one, other, Rule::Pass),
                Step::KillMember(index) => self.cluster.etcd().kill_member(*index)?,
                Step::KillEtcd => self.cluster.etcd().kill()?,
                Step::WipeEtcd => {
                    self.cluster.etcd().wipe()?;
                    self.journal.wiped();
                }
                Step::StartEtcd => self.cluster.start_etcd().await?,
                Step::Clock(node, Jump(ms)) => self.cluster.set_clock(node, *ms)?,
                Step::Split(part) => self.part(part, Rule::Hole)?,
                Step::Heal(part) => self.part(part, Rule::Pass)?,
                Step::Mute => outcome.mute = Some(self.mute().await?),
                Step::Join => outcome.deaf += self.join().await,
            }
        }
        Ok(())
    }

    /// What becomes of the bytes between these nodes and all others.
    fn part(&self, part: &[String], rule: Rule) -> Result<()> {
        let names = self.cluster.names();
        for other in names.iter().filter(|name| !part.contains(name)) {
            for one in part {
                self.wires()?.set_between(one, other, rule);
            }
        }
        Ok(())
    }

    /// Mutes a voice for a moment; gives how long that took.
    async fn mute(&self) -> Result<Duration> {
        let operator = self.operators.first().context("nobody operates")?;
        let start = Instant::now();
        operator.mute(ROOM, VOICES[0], true).await?;
        let took = start.elapsed();
        operator.mute(ROOM, VOICES[0], false).await?;
        Ok(took)
    }

    fn wires(&self) -> Result<&Wires> {
        self.cluster.wires().context("a world has wires")
    }

    /// A node that was killed while it was paused stays dead.
    fn resume(&self, node: &str) -> Result<()> {
        self.cluster.node(node).map_or(Ok(()), |process| process.signal(Signal::CONT))
    }

    /// One step of a rolling restart: the next node's turn comes when all is well.
    async fn recycle(&mut self, node: &str) -> Result<()> {
        self.leave(node).await?;
        self.cluster.restart(node).await?;
        self.well().await.map(drop)
    }

    /// A node is told to leave, and does.
    async fn leave(&mut self, node: &str) -> Result<()> {
        self.cluster.node(node)?.signal(Signal::TERM)?;
        let start = Instant::now();
        while !self.cluster.ended(node)? {
            if start.elapsed() > LEAVE {
                bail!("{node} has not left within {LEAVE:?}: {}", self.cluster.node(node)?.log_tail());
            }
            sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Someone joins at each edge that runs; gives how many of them do not hear the room.
    async fn join(&self) -> u64 {
        let mut deaf = 0;
        for edge in 0..self.cluster.edge_count() {
            let url = format!("http://127.0.0.1:{}", self.cluster.edge_port(edge));
            let heard = match Listening::start(&url, ROOM) {
                Ok(listening) => listening.frames(25, JOIN).await,
                Err(error) => Err(error),
            };
            deaf += u64::from(heard.is_err());
        }
        deaf
    }
}
