//! Replays, done on threads beside the runtime's, so that rooms which mix already go on with it. Who is next and how much is
//! replayed is decided by [`stentor_mix::Replays`].
//!
//! Invariants: at most [`MOST_WORKERS`] replay at once; a panic in a replay is its room's and no other's.

use std::{
    any::Any,
    future,
    num::NonZero,
    panic::{AssertUnwindSafe, catch_unwind, resume_unwind},
    sync::Arc,
    thread,
};

use parking_lot::Mutex;
use stentor_pace::Time;
use tokio::{sync::oneshot, task};

/// Replays at once, where there are as many cores: more rooms than these replay in a slot's time, and the runtime needs cores
/// as well.
const MOST_WORKERS: usize = 4;

/// Is given how many slots to replay.
type Job = Box<dyn FnOnce(usize) + Send>;

/// The rooms of this node that wait for a replay.
pub(crate) struct Replays {
    waiting: Mutex<stentor_mix::Replays<Job>>,
}

impl Replays {
    pub(crate) fn new() -> Arc<Self> {
        let cores = thread::available_parallelism().map_or(1, NonZero::get);
        Self::with_workers(cores.min(MOST_WORKERS))
    }

    fn with_workers(workers: usize) -> Arc<Self> {
        Arc::new(Self { waiting: Mutex::new(stentor_mix::Replays::new(workers)) })
    }

    /// Does a replay that is to be done by then, and gives what it gave. The job is told how many slots it may replay.
    pub(crate) async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        by: Time,
        job: impl FnOnce(usize) -> T + Send + 'static,
    ) -> T {
        let (reply, done) = oneshot::channel::<Result<T, Box<dyn Any + Send>>>();
        let job = move |slots| {
            // The room's loop is gone: then nobody needs the replay.
            drop(reply.send(catch_unwind(AssertUnwindSafe(|| job(slots)))));
        };
        self.waiting.lock().push(by, Box::new(job));
        let replays = self.clone();
        // A worker for each job, which does whichever is due first, and nothing if the others have done them all.
        task::spawn_blocking(move || replays.work());
        match done.await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(panic)) => resume_unwind(panic),
            // The runtime is shut down, and the loop that waits here with it.
            Err(_) => future::pending().await,
        }
    }

    fn work(&self) {
        loop {
            let started = stentor_clock::now();
            let Some((job, slots)) = self.waiting.lock().take(started) else { return };
            job(slots);
            self.waiting.lock().done(slots, stentor_clock::now().since(started));
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering::SeqCst},
        time::Duration,
    };

    use futures::future::join_all;
    use stentor_mix::HISTORY_SLOTS;
    use tokio::sync::{Semaphore, oneshot};

    use super::*;

    /// Waits on a thread of its own.
    fn wait(semaphore: &Semaphore, runtime: &tokio::runtime::Handle) {
        runtime.block_on(semaphore.acquire()).unwrap().forget();
    }

    #[tokio::test]
    async fn the_earliest_goes_first_and_no_more_at_once_than_there_are_workers() {
        let replays = Replays::with_workers(2);
        let (gate, running, most) =
            (Arc::new(Semaphore::new(0)), Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
        let order = Arc::new(Mutex::new(Vec::new()));
        let far = stentor_clock::now() + Duration::from_secs(3600);
        let jobs = (0..12_u32).map(|room| {
            let (gate, running, most, order) = (gate.clone(), running.clone(), most.clone(), order.clone());
            let runtime = tokio::runtime::Handle::current();
            let replays = replays.clone();
            let job = move |slots| {
                order.lock().push(room);
                most.fetch_max(running.fetch_add(1, SeqCst) + 1, SeqCst);
                wait(&gate, &runtime);
                running.fetch_sub(1, SeqCst);
                slots
            };
            // The later it comes, the earlier it is due.
            async move { replays.run(far - Duration::from_secs(room.into()), job).await }
        });
        let all = tokio::spawn(join_all(jobs.collect::<Vec<_>>()));
        // Two run; all others are there before one of these is let go.
        while order.lock().len() < 2 || replays.waiting.lock().waiting() < 10 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        gate.add_permits(12);
        assert_eq!(all.await.unwrap(), [HISTORY_SLOTS; 12], "an hour is enough for all");
        assert_eq!(most.load(SeqCst), 2);
        let mut order = order.lock().split_off(2);
        // Two that begin in the same moment may note it in either order.
        order.chunks_exact_mut(2).for_each(|pair| pair.sort_unstable());
        let swaps = order.windows(2).filter(|pair| pair[0] + 3 < pair[1]).count();
        assert_eq!(swaps, 0, "{order:?}");
    }

    #[tokio::test]
    async fn a_panic_is_the_rooms_own_and_the_next_is_served() {
        let replays = Replays::with_workers(1);
        let by = stentor_clock::now() + Duration::from_secs(3600);
        let fails = tokio::spawn({
            let replays = replays.clone();
            // A panic without its message: it is meant.
            async move { replays.run(by, |_| resume_unwind(Box::new("told to break"))).await }
        });
        let failed: Result<(), _> = fails.await;
        assert!(failed.unwrap_err().is_panic());
        assert_eq!(replays.run(by, |slots| slots).await, HISTORY_SLOTS);
    }

    #[tokio::test]
    async fn a_room_that_has_gone_keeps_nobody_waiting() {
        let replays = Replays::with_workers(1);
        let by = stentor_clock::now() + Duration::from_secs(3600);
        let (let_go, gate) = oneshot::channel::<()>();
        let gone = tokio::spawn({
            let replays = replays.clone();
            async move { replays.run(by, move |_| drop(gate.blocking_recv())).await }
        });
        while replays.waiting.lock().waiting() > 0 || !gone.is_finished() {
            gone.abort();
            tokio::task::yield_now().await;
        }
        drop(let_go);
        assert_eq!(replays.run(by, |slots| slots).await, HISTORY_SLOTS);
    }
}
