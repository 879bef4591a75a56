//! A node of which only the links are real.

use std::{net::SocketAddr, time::Duration};

use stentor_directory::{NodeRecord, Roles, Session};
use stentor_ids::NodeId;
use stentor_link::{Journal, LinkServer, Services};
use tokio::time::timeout;
use tokio_util::sync::{CancellationToken, DropGuard};

use crate::{cluster::Cluster, waiting::SOON};

/// Shortest lease there is.
const TTL: Duration = Duration::from_secs(1);

/// A node in the directory, behind whose link port is what a test puts there. Dropped, it is gone as a killed process is.
pub struct Puppet {
    /// Its membership.
    pub session: Session,
    /// What it tells those who watch it.
    pub journal: Journal,
    /// Where other nodes reach it.
    pub addr: SocketAddr,
    _stop: DropGuard,
}

impl Cluster {
    /// A node that serves this, and a journal of its own.
    ///
    /// # Panics
    /// It cannot come.
    pub async fn puppet(&self, name: &str, roles: impl Into<Roles>, services: Services) -> Puppet {
        let server = self.links.server();
        let addr = server.local_addr();
        let (journal, stop) = self.serve(name, server, services);
        let session = self.register(name, roles, addr.to_string()).await;
        Puppet { session, journal, addr, _stop: stop }
    }

    /// Serves this and a journal behind a link port, until the guard is dropped, without a word to the directory.
    ///
    /// # Panics
    /// The name is none.
    #[must_use]
    pub fn serve(&self, name: &str, server: LinkServer, services: Services) -> (Journal, DropGuard) {
        let me = NodeId::new(name).unwrap();
        let (journal, stop) = (Journal::new(me.clone()), CancellationToken::new());
        let services = Services { journal: Some(journal.clone()), ..services };
        tokio::spawn(server.run(me.clone(), services, self.metrics.for_node(&me), stop.clone()));
        (journal, stop.drop_guard())
    }

    /// A member of the cluster, with nothing behind it.
    ///
    /// # Panics
    /// It is not taken.
    pub async fn register(&self, name: &str, roles: impl Into<Roles>, link_addr: String) -> Session {
        let id = NodeId::new(name).unwrap();
        let record = NodeRecord { link_addr, ..NodeRecord::new(id.clone(), roles) };
        let session = timeout(SOON, self.directory.register(record, TTL)).await.unwrap().unwrap();
        self.shows("it is there", |view| view.nodes.contains_key(&id)).await;
        session
    }
}
