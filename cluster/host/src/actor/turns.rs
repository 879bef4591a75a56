//! Writes of one key, in the order in which they were asked for.

use std::convert::Infallible;

use tokio::sync::oneshot;

/// Whose turn it is to write. One that ends, or panics, gives its turn to the next.
#[derive(Default)]
pub(super) struct Turns(Option<oneshot::Receiver<Infallible>>);

/// A turn, which is over when this is dropped.
pub(super) struct Turn {
    before: Option<oneshot::Receiver<Infallible>>,
    _done: oneshot::Sender<Infallible>,
}

impl Turns {
    /// The next turn.
    pub(super) fn next(&mut self) -> Turn {
        let (done, ended) = oneshot::channel();
        Turn { before: self.0.replace(ended), _done: done }
    }
}

impl Turn {
    /// Waits until those before are over.
    pub(super) async fn come(&mut self) {
        if let Some(before) = self.before.take() {
            // Nothing is ever sent: the other end goes when its turn is over.
            let Err(_) = before.await;
        }
    }
}
