//! What the tests of the directory share: a proxy that breaks connections, and names.

#![allow(dead_code, reason = "each test binary uses its part")]

pub mod proxy;

use std::time::Duration;

use stentor_directory::{Directory, EtcdConfig, NodeRecord, NodeRole, Room, View, ViewHandle};
use stentor_ids::{NodeId, RoomId};

/// Longest wait for anything in a test: far beyond what a busy machine needs, so that only a bug runs into it.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// The nodes' lease: the shortest that a busy machine can be relied on to renew.
pub const TTL: Duration = Duration::from_secs(2);

pub fn room(name: &str) -> RoomId {
    RoomId::new(name).unwrap()
}

pub fn node(name: &str) -> NodeRecord {
    let id = NodeId::new(name).unwrap();
    NodeRecord { link_addr: format!("{id}.example:7100"), ..NodeRecord::new(id, NodeRole::Origin) }
}

/// Awaits within [`PATIENCE`].
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    match tokio::time::timeout(PATIENCE, future).await {
        Ok(value) => value,
        Err(_) => panic!("waited {PATIENCE:?} for {what}"),
    }
}

/// Waits until the directory's view holds what is asked for.
pub async fn until(directory: &Directory, what: &str, holds: impl FnMut(&View) -> bool + Send) {
    until_view(&mut directory.view(), what, holds).await;
}

pub async fn until_view(view: &mut ViewHandle, what: &str, holds: impl FnMut(&View) -> bool + Send) {
    soon(what, view.wait_for(holds)).await;
}

pub async fn get(directory: &Directory, name: &str) -> Room {
    directory.get(&room(name)).await.unwrap().expect("the room is there")
}

/// A configuration for one endpoint, with times that suit a test.
pub fn config(endpoint: impl Into<String>) -> EtcdConfig {
    EtcdConfig { endpoints: vec![endpoint.into()], watch_idle_ms: 1_000, ..EtcdConfig::default() }
}
