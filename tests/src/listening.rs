//! A listener that runs beside the test: what it has heard can be waited for, and its report ends it.

use std::time::Duration;

use anyhow::{Context, Result};
use stentor_ids::RoomId;
use stentor_probe::{
    Error, ListenConfig, ListenEnd, ListenHandle, Listener, Patience, Recorder, Report, Target,
};
use tokio::{task::JoinHandle, time::timeout};
use tokio_util::sync::CancellationToken;

/// How long a listener tries to get in: the room may be finding its owner.
const PATIENCE: Duration = Duration::from_secs(20);

/// A listener by gRPC. Dropping it hangs up.
#[derive(Debug)]
pub struct Listening {
    handle: ListenHandle,
    stop: CancellationToken,
    task: JoinHandle<Result<(ListenEnd, ()), Error>>,
}

impl Listening {
    /// Starts to listen at an edge.
    ///
    /// # Errors
    /// When the room's name is none.
    pub fn start(edge: &str, room: &str) -> Result<Self> {
        Self::start_at(vec![edge.to_owned()], room)
    }

    /// Starts to listen at the first of these edges; the others are where it may come back.
    ///
    /// # Errors
    /// When the room's name is none.
    pub fn start_at(edges: Vec<String>, room: &str) -> Result<Self> {
        let config = ListenConfig {
            target: Target { edges, ..Target::default() },
            room: RoomId::new(room)?,
            unbuffered: false,
            reconnect: true,
            patience: Patience { first: PATIENCE, later: PATIENCE },
        };
        let listener = Listener::new(config, ());
        let (handle, stop) = (listener.handle(), CancellationToken::new());
        let task = tokio::spawn(listener.run(stop.clone()));
        Ok(Self { handle, stop, task })
    }

    /// Waits for so many frames more than there were when this was called.
    ///
    /// # Errors
    /// When they do not come within that time.
    pub async fn frames(&self, count: u64, within: Duration) -> Result<()> {
        let goal = self.handle.look(Recorder::got) + count;
        self.until(&format!("{count} frames more"), within, |recorder| recorder.got() >= goal).await
    }

    /// Waits for frames of an epoch above those heard so far: the room has a new owner, and it is heard.
    ///
    /// # Errors
    /// When none comes within that time.
    pub async fn gone_on(&self, within: Duration) -> Result<()> {
        let newest = |recorder: &Recorder| recorder.heard().back().map(|heard| heard.epoch);
        let before = self.handle.look(newest);
        self.until("a higher epoch", within, |recorder| newest(recorder) > before).await
    }

    /// Looks at the record. The listener waits meanwhile: be brief.
    pub fn look<T>(&self, at: impl FnOnce(&Recorder) -> T) -> T {
        self.handle.look(at)
    }

    /// What it has to say so far.
    #[must_use]
    pub fn report(&self) -> Report {
        self.handle.report()
    }

    async fn until(
        &self,
        what: &str,
        within: Duration,
        holds: impl FnMut(&Recorder) -> bool + Send,
    ) -> Result<()> {
        let mut handle = self.handle.clone();
        let held = timeout(within, handle.wait_for(holds)).await;
        anyhow::ensure!(
            held == Ok(true),
            "waited {within:?} in vain for {what}; the report is {:?}",
            self.handle.report()
        );
        Ok(())
    }

    /// Hangs up and gives the report.
    ///
    /// # Errors
    /// Why the listener had given up before.
    pub async fn stop(mut self) -> Result<Report> {
        self.stop.cancel();
        (&mut self.task).await?.context("the listener gave up")?;
        Ok(self.handle.report())
    }
}

impl Drop for Listening {
    fn drop(&mut self) {
        self.task.abort();
    }
}
