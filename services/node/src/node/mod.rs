//! One node: its parts assembled in order, and taken apart in the opposite one.
//!
//! ```text
//! ports → view → links to others → membership → rooms → what is served
//! ```
//!
//! Ports are bound before the directory hears of the node, and what takes work starts last. Only the faces of the parts
//! are known here; what they do together is theirs.
//!
//! Invariant: a node that says in the directory that it is there has every port that it tells of.

mod assemble;
mod control;
mod given;
mod leave;
mod parts;
mod ports;
mod shared;

use std::{sync::Arc, time::Duration};

use anyhow::{Context, Result};
use stentor_directory::{Revision, Session, SessionState, ViewHandle};
use stentor_edge::{Edge, EdgeHandle};
use stentor_host::{Host, HostHandle, Topology};
use stentor_ids::NodeId;
use stentor_link::{Journal, Locator, Services, raise_open_files};
use tokio::time::Instant;

use self::{
    assemble::{Ways, record},
    control::NodeControl,
    leave::{Here, Leave},
    parts::Parts,
};
pub use self::{
    given::{Given, Links},
    shared::Shared,
};
use crate::config::Config;

/// Time kept back from a drain's deadline for ending the parts and leaving the membership.
const GOODBYE: Duration = Duration::from_secs(3);

/// A running node. Dropped, it is gone where it stands, and nothing is said to anybody; [`leave`](Self::leave) and
/// [`stop`](Self::stop) end it in order.
pub struct Node {
    id: NodeId,
    view: ViewHandle,
    session: Arc<Session>,
    here: Here,
    leave: Arc<Leave>,
    /// Where people and operators connect.
    front: Parts,
    /// What goes to and comes from other nodes.
    links: Parts,
    rooms: Parts,
}

impl Node {
    /// Assembles and starts a node.
    ///
    /// # Errors
    /// Says which port, file, endpoint or id is in the way.
    pub async fn start(config: &Config, shared: &Shared) -> Result<Self> {
        Self::start_with(config, shared, Given::default()).await
    }

    /// The same with some of its parts given.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub async fn start_with(config: &Config, shared: &Shared, given: Given) -> Result<Self> {
        // Before any port is bound: an origin or a relay with many nodes below it has as many connections as an edge has people.
        raise_open_files();
        let Links { server, pool } = given.links.map_or_else(|| Links::bind(config, shared), Ok)?;
        let id = config.id()?;
        let metrics = shared.metrics.for_node(&id);
        let directory = shared.directory.metered(metrics.clone()).viewed_by(config.node.roles);
        let view = directory.view();

        let topology = Arc::new(Topology::new(view.clone(), config.node.roles));
        let journal = Journal::new(id.clone());
        let ways = Ways {
            id: id.clone(),
            journal: journal.clone(),
            locator: Locator::new(id.clone(), pool.clone(), topology.clone()),
            control: stentor_link::control::Client::new(pool.clone()),
            topology,
            pool,
            metrics: metrics.clone(),
        };
        let (front, links, rooms) = (Parts::default(), Parts::default(), Parts::default());
        let edge = ways.edge(config, &links)?;
        let admin = ways.admin(config, &directory)?;

        let record = record(config, &id, server.local_addr(), edge.as_ref())?;
        let session = directory.register(record.clone(), config.directory.lease_ttl()).await;
        let session = Arc::new(session.context("joining the cluster")?);

        let skew = ways.skew();
        let host = ways.host(config, &directory, &session, given.engines)?;
        let host = host.map(|host| host.with_clock(skew.standing()));
        let here = Here {
            host: host.as_ref().map(Host::handle),
            carrier: ways.relay(config, &links),
            edge: edge.as_ref().map(Edge::handle),
        };
        let leave = Leave::new(session.clone(), record, here.clone(), journal.clone(), metrics.clone());
        let leave = Arc::new(leave);
        let control = NodeControl::new(id.clone(), ways.locator.clone(), here.clone(), &leave);
        let services = Services {
            own: here.host.clone().map(|host| Arc::new(host) as _),
            ingest: here.host.clone().map(|host| Arc::new(host) as _),
            carrier: here.carrier.clone(),
            control: Some(Arc::new(control)),
            journal: Some(journal),
        };

        links.run_quiet(skew.run(links.stop()));
        if let Some(host) = host {
            rooms.run("rooms", &shared.failed, host.run(rooms.stop()));
        }
        links.run("links", &shared.failed, server.run(id.clone(), services, metrics, links.stop()));
        if let Some(edge) = edge {
            let (handle, stop) = (edge.handle(), front.stop());
            let whole = async move { stop.run_until_cancelled(handle.broken()).await.map_or(Ok(()), Err) };
            front.run("fan-out", &shared.failed, whole);
            front.run("edge", &shared.failed, edge.run(front.stop()));
        }
        if let Some(admin) = admin {
            front.run("admin", &shared.failed, admin.run(front.stop()));
        }
        tracing::info!(node = %id, roles = %config.node.roles, "the node is up");
        Ok(Self { id, view, session, here, leave, front, links, rooms })
    }

    /// Its membership.
    #[must_use]
    pub const fn session(&self) -> &Arc<Session> {
        &self.session
    }

    /// Its rooms, if it is an origin.
    #[must_use]
    pub const fn host(&self) -> Option<&HostHandle> {
        self.here.host.as_ref()
    }

    /// Where people connect, if it is an edge.
    #[must_use]
    pub const fn edge(&self) -> Option<&EdgeHandle> {
        self.here.edge.as_ref()
    }

    /// Why the node should be given no work now; `None` if it should.
    pub fn unready(&self) -> impl Fn() -> Option<&'static str> + Send + Sync + 'static {
        let (view, membership, leave) = (self.view.clone(), self.session.state(), self.leave.clone());
        move || {
            if leave.is_draining() {
                return Some("the node is draining");
            }
            if !matches!(*membership.borrow(), SessionState::Held(_)) {
                return Some("the node's lease has ended; it is registering again");
            }
            // A view that was current once serves on while the directory is away.
            let seen = view.snapshot().revision > Revision::default();
            (!seen).then_some("there is no view of the cluster yet")
        }
    }

    /// Leaves the cluster in order: hands rooms over, sends people elsewhere, ends the parts, deregisters. Gives up what
    /// is not done by the deadline.
    pub async fn leave(self, deadline: Instant) {
        self.leave.drain(deadline.checked_sub(GOODBYE).unwrap_or(deadline)).await;
        self.stop(deadline).await;
    }

    /// Ends the parts and deregisters, with rooms and people where they are.
    pub async fn stop(self, deadline: Instant) {
        let Self { id, leave, front, links, rooms, .. } = self;
        front.end("edge and admin", deadline).await;
        links.end("links", deadline).await;
        rooms.end("rooms", deadline).await;
        leave.deregister(deadline).await;
        tracing::info!(node = %id, "the node has left");
    }
}
