//! The task behind the view: lists at a revision, watches from the next, and starts again when the watch breaks.
//!
//! It resumes after the last *event* it saw, handing that event to the store as a witness that the history is still the
//! same one. Where there is no such event, or the store has lost the history, it lists anew, and counts another history if
//! the store says so or its revision went back.
//!
//! A change after a quiet time is shown at once; in a busy one they are gathered for a moment, so that what readers do is
//! bounded by the time and not by the changes.

use std::{future, sync::Arc, time::Duration};

use stentor_pace::Backoff;
use stentor_telemetry::{Keys, NodeMetrics};
use tokio::{sync::watch, time::sleep};
use tokio_util::task::AbortOnDropHandle;

use crate::{
    Error, View, ViewHandle,
    changes::Log,
    keys::{self, Range, Scope},
    store::{Event, Interrupted, Resume, Store, Watch},
};

/// Waits between tries start around here: a restarted etcd is back within seconds.
const RETRY_BASE: Duration = Duration::from_millis(50);
/// And are at most this long, so that a view is never much older than the outage.
const RETRY_CAP: Duration = Duration::from_secs(2);
/// Most batches of events that are taken in before the readers are woken: a burst of changes is one change to them.
const BATCHES_AT_ONCE: usize = 64;
/// How long changes are gathered after some were shown. Readers wake a hundred times a second at most, and nobody who waits for
/// the directory notices: a write of its own takes longer.
const GATHER: Duration = Duration::from_millis(10);

/// What is read is counted as that of the node with these metrics.
pub(crate) fn start(store: Arc<dyn Store>, scope: Scope, metrics: Option<NodeMetrics>) -> ViewHandle {
    let ((views, reader), log) = (watch::channel(Arc::default()), Log::default());
    let (range, backoff) = (scope.range(), Backoff::new(RETRY_BASE, RETRY_CAP));
    let follower = Follower { store, range, metrics, views, log: log.clone(), replaced: false, backoff };
    ViewHandle::new(reader, log, AbortOnDropHandle::new(tokio::spawn(follower.run())))
}

struct Follower {
    store: Arc<dyn Store>,
    range: Range,
    metrics: Option<NodeMetrics>,
    views: watch::Sender<Arc<View>>,
    log: Log,
    /// The store was found to have another history, and has not been listed since.
    replaced: bool,
    backoff: Backoff,
}

impl Follower {
    async fn run(mut self) {
        loop {
            match self.list().await {
                Ok(resume) => self.watch_while_history_lasts(resume).await,
                Err(error) => self.interrupted(&error.to_string()).await,
            }
        }
    }

    async fn list(&mut self) -> Result<Resume, Error> {
        let snapshot = self.store.read(&self.range).await?;
        snapshot.entries.iter().for_each(|entry| self.count(&entry.key, &entry.value));
        let replaced = std::mem::take(&mut self.replaced);
        let listed = View::listed(&snapshot, &self.views.borrow().clone(), replaced);
        self.log.note_all(listed.number);
        self.views.send_replace(Arc::new(listed));
        Ok(Resume { after: snapshot.revision, witness: None })
    }

    /// Returns when the view has to be listed anew.
    async fn watch_while_history_lasts(&mut self, mut resume: Resume) {
        loop {
            let interrupted = match self.store.watch(&self.range, resume.clone()).await {
                Ok(watch) => self.take_events(watch, &mut resume).await,
                Err(interrupted) => interrupted,
            };
            match interrupted {
                Interrupted::HistoryGone(why) => return self.interrupted(why).await,
                Interrupted::HistoryReplaced(why) => {
                    self.replaced = true;
                    return self.interrupted(why).await;
                }
                Interrupted::Broken(error) => self.interrupted(&error.to_string()).await,
            }
            if resume.witness.is_none() {
                return;
            }
        }
    }

    async fn take_events(&mut self, mut watch: Box<dyn Watch>, resume: &mut Resume) -> Interrupted {
        self.backoff.reset();
        self.set_current(true);
        loop {
            let Ready { events, more, interrupted } = ready_events(watch.as_mut()).await;
            if let Some(last) = events.last() {
                *resume = Resume { after: last.revision, witness: Some(last.clone()) };
                self.show(&events);
            }
            if let Some(interrupted) = interrupted {
                return interrupted;
            }
            if !more {
                sleep(GATHER).await;
            }
        }
    }

    fn show(&self, events: &[Event]) {
        events.iter().for_each(|event| self.count(event.key(), event.value()));
        self.views.send_modify(|view| Arc::make_mut(view).take(events, &self.log));
    }

    fn count(&self, key: &str, value: &[u8]) {
        let Some(metrics) = &self.metrics else { return };
        let of = if key.starts_with(keys::NODES) { Keys::Nodes } else { Keys::Rooms };
        metrics.directory_read_bytes(of).inc_by((key.len() + value.len()) as u64);
    }

    async fn interrupted(&mut self, reason: &str) {
        self.set_current(false);
        let wait = self.backoff.next(rand::random());
        tracing::warn!(reason, ?wait, "the watch of the directory was interrupted; the view is not current");
        sleep(wait).await;
    }

    fn set_current(&self, current: bool) {
        self.views.send_if_modified(|view| {
            let changes = view.current != current;
            if changes {
                let view = Arc::make_mut(view);
                view.current = current;
                // What was to be left alone is now to be looked at.
                view.number += 1;
                self.log.note_all(view.number);
            }
            changes
        });
    }
}

/// Events that were ready.
struct Ready {
    events: Vec<Event>,
    /// There may be more of them by now.
    more: bool,
    interrupted: Option<Interrupted>,
}

/// Waits for events and takes what else is ready by then.
async fn ready_events(watch: &mut dyn Watch) -> Ready {
    let ended = |events, interrupted| Ready { events, more: false, interrupted };
    let mut events = match watch.next().await {
        Ok(events) => events,
        Err(interrupted) => return ended(Vec::new(), Some(interrupted)),
    };
    for _ in 1..BATCHES_AT_ONCE {
        tokio::select! {
            biased;
            more = watch.next() => match more {
                Ok(more) => events.extend(more),
                Err(interrupted) => return ended(events, Some(interrupted)),
            },
            () = future::ready(()) => return ended(events, None),
        }
    }
    Ready { events, more: true, interrupted: None }
}
