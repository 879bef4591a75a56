//! How the rest of the process reads the view: as it is now, as it changes, or by what changed.

use std::sync::Arc;

use tokio::sync::watch;
use tokio_util::task::AbortOnDropHandle;

use crate::{Changed, View, changes::Log};

/// A reader of the view. Each clone has its own mark of what it has seen.
#[derive(Clone)]
pub struct ViewHandle {
    views: watch::Receiver<Arc<View>>,
    log: Log,
    /// Keeps the watch running while anybody reads.
    _follower: Arc<AbortOnDropHandle<()>>,
}

impl ViewHandle {
    pub(crate) fn new(views: watch::Receiver<Arc<View>>, log: Log, follower: AbortOnDropHandle<()>) -> Self {
        Self { views, log, _follower: Arc::new(follower) }
    }

    /// Reads what changes from now on, and before that everything.
    #[must_use]
    pub fn reader(&self) -> Reader {
        Reader { view: self.clone(), seen: None }
    }

    /// The view as it is now. Cheap; let it go soon, as the next change copies a part of a view that somebody holds.
    #[must_use]
    pub fn snapshot(&self) -> Arc<View> {
        self.views.borrow().clone()
    }

    /// Waits until the view has changed since this handle last waited, and gives it. Changes that came in between are one.
    /// Cancel-safe.
    pub async fn changed(&mut self) -> Arc<View> {
        match self.views.changed().await {
            Ok(()) => self.views.borrow_and_update().clone(),
            Err(_) => ended().await,
        }
    }

    /// Waits until the view holds what is asked for, and gives it. Cancel-safe.
    pub async fn wait_for(&mut self, mut holds: impl FnMut(&View) -> bool + Send) -> Arc<View> {
        // The guard is let go before anything is waited for, so that the future can move between threads.
        let found = self.views.wait_for(|view| holds(view)).await.map(|view| view.clone());
        match found {
            Ok(view) => view,
            Err(_) => ended().await,
        }
    }
}

/// The follower ends only with its runtime, which takes the waiting task along.
async fn ended() -> Arc<View> {
    std::future::pending().await
}

/// Follows the view by what changes in it.
#[derive(Clone)]
pub struct Reader {
    view: ViewHandle,
    /// The number of the view that was given last.
    seen: Option<u64>,
}

impl Reader {
    /// Waits until the view has changed since it was given last, and gives it with what changed; the first time at once,
    /// with [`Changed::All`]. Changes that came in between are one. Cancel-safe.
    pub async fn next(&mut self) -> (Arc<View>, Changed) {
        let view = match self.seen {
            Some(_) => self.view.changed().await,
            None => self.view.views.borrow_and_update().clone(),
        };
        let changed = match self.seen.replace(view.number) {
            Some(seen) => self.view.log.between(seen, view.number),
            None => Changed::All,
        };
        (view, changed)
    }
}
