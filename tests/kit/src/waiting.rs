//! Waiting for something, within a bound.

use std::time::Duration;

use tokio::time::timeout;

/// How long anything may take that a test waits for.
pub const SOON: Duration = Duration::from_secs(15);

/// Waits until `holds`.
///
/// # Panics
/// It does not within [`SOON`].
pub async fn until(what: &str, mut holds: impl FnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !holds() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}

/// Waits until what has to be asked for holds.
///
/// # Panics
/// It does not within [`SOON`].
pub async fn until_async(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let waited = timeout(SOON, async {
        while !holds().await {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    });
    assert!(waited.await.is_ok(), "waited in vain until {what}");
}
