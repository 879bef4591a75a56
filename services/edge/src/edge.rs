//! An edge as a whole: bound, run, drained.

use std::{io, net::SocketAddr, num::NonZero, sync::Arc, thread, time::Duration};

use stentor_ids::NodeId;
use stentor_link::{Carrier, Locator, Topology, control, uplink::Uplinks};
use stentor_telemetry::NodeMetrics;
use tokio::{
    sync::{mpsc, watch},
    time::{Instant, interval},
};
use tokio_util::sync::CancellationToken;

use crate::{
    Config, Tls,
    auth::{Auth, Keys},
    count::Count,
    fanout::Fanout,
    farewell::{Farewell, Leaving},
    grpc,
    http::{self, Http},
    port::{Port, Service, acceptor, room_for_connections},
    rooms::{self, Rooms},
};

/// Connections that wait for the gRPC server to take them. Beyond it the next one waits with its own task.
const HANDED_OVER: usize = 64;
/// How often a drain looks whether everyone has gone.
const LOOK: Duration = Duration::from_millis(100);

/// Why an edge cannot run.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A setting cannot be.
    #[error("the edge's setting {0}")]
    Config(String),
    /// The port is taken, or not ours to take.
    #[error("the edge cannot listen at {addr}: {reason}; free the port or choose another")]
    Bind {
        /// Where.
        addr: SocketAddr,
        /// What the system says.
        reason: io::Error,
    },
    /// The certificate or its key is not usable.
    #[error("the edge's TLS: {0}")]
    Tls(io::Error),
    /// A thread or poll of the fan-out engine could not be made, or the port failed.
    #[error("the edge cannot serve: {0}")]
    Io(#[from] io::Error),
    /// A thread of the fan-out engine ended, by a bug or because it could not poll.
    #[error("a part of the edge's fan-out engine has ended, and its listeners with it; the log says why")]
    Shard,
    /// The gRPC server failed.
    #[error("the edge cannot serve gRPC: {0}")]
    Grpc(#[from] tonic::transport::Error),
}

/// A bound edge.
pub struct Edge {
    port: Port,
    service: Service,
    grpc: grpc::Parts,
    incoming: mpsc::Receiver<io::Result<crate::port::Rewound>>,
    handle: EdgeHandle,
}

impl std::fmt::Debug for Edge {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Edge({})", self.local_addr())
    }
}

impl std::fmt::Debug for Ways {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Ways({})", self.me)
    }
}

/// The way to a running edge. Clones share it.
#[derive(Debug, Clone)]
pub struct EdgeHandle {
    connections: Count,
    leaving: Arc<watch::Sender<Option<Leaving>>>,
    broken: CancellationToken,
}

/// The ways from an edge to other nodes.
pub struct Ways {
    /// The edge's own node.
    pub me: NodeId,
    /// Who else there is: where people are sent when the edge leaves.
    pub topology: Arc<dyn Topology>,
    /// Brings rooms.
    pub carrier: Carrier,
    /// Finds them.
    pub locator: Locator,
    /// Takes speakers to the origins.
    pub uplinks: Uplinks,
    /// Takes commands to owners.
    pub owners: control::Client,
}

impl Edge {
    /// Binds the port, for HTTPS if there is a certificate, and starts the shards.
    ///
    /// # Errors
    /// A setting, the certificate or the port is not usable.
    pub fn new(
        config: &Config,
        tls: Option<&Tls>,
        keys: Keys,
        ways: Ways,
        metrics: NodeMetrics,
    ) -> Result<Self, Error> {
        config.validate().map_err(Error::Config)?;
        let Ways { me, topology, carrier, locator, uplinks, owners } = ways;
        let tls = tls.map(|tls| acceptor(&tls.cert_pem, &tls.key_pem));
        let tls = tls.transpose().map_err(Error::Tls)?;
        let bind = |reason| Error::Bind { addr: config.listen, reason };
        let port = Port::bind(config.listen).map_err(bind)?;
        let shards = match config.shards {
            0 => thread::available_parallelism().map_or(1, NonZero::get),
            shards => shards,
        };
        let patience = Duration::from_millis(config.patience_ms);
        let fanout = Fanout::start(shards, patience, &metrics)?;
        let files = room_for_connections();
        let max_connections = if config.max_connections == 0 { files } else { config.max_connections };

        let (tell, leaving) = watch::channel(None);
        let handle =
            EdgeHandle { connections: Count::default(), leaving: Arc::new(tell), broken: fanout.broken() };
        let auth = Arc::new(Auth::new(keys, leaving.clone()));
        let farewell = Farewell::new(leaving, me, topology);
        let rooms = Rooms::new(rooms::Parts {
            auth: auth.clone(),
            carrier,
            locator: locator.clone(),
            fanout,
            buffer: Duration::from_millis(config.buffer_ms),
            buffer_max: Duration::from_millis(config.buffer_max_ms),
            metrics: metrics.clone(),
        });
        let (to_grpc, incoming) = mpsc::channel(HANDED_OVER);
        let service = Service {
            http: Arc::new(Http::new(http::Parts {
                rooms: rooms.clone(),
                base: config.advertise.clone(),
                farewell: farewell.clone(),
                patience,
                metrics: metrics.clone(),
            })),
            rooms: rooms.clone(),
            tls,
            grpc: to_grpc,
            connections: handle.connections.clone(),
            max_connections,
            stop: CancellationToken::new(),
        };
        let grpc = grpc::Parts { auth, rooms, locator, uplinks, owners, metrics, farewell };
        Ok(Self { port, service, grpc, incoming, handle })
    }

    /// Where it listens.
    #[must_use]
    pub fn local_addr(&self) -> SocketAddr {
        self.port.local_addr()
    }

    /// The way to it.
    #[must_use]
    pub fn handle(&self) -> EdgeHandle {
        self.handle.clone()
    }

    /// Serves until `shutdown`, then cuts what is still connected: who is to be spared that is sent elsewhere by
    /// [`EdgeHandle::drain`] before.
    ///
    /// # Errors
    /// The port or the gRPC server failed.
    pub async fn run(self, shutdown: CancellationToken) -> Result<(), Error> {
        let Self { port, service, grpc, incoming, .. } = self;
        let (stop, rooms) = (service.stop.clone(), service.rooms.clone());
        let served = async {
            tokio::try_join!(async { port.run(service).await.map_err(Error::from) }, async {
                grpc::serve(grpc, incoming).await.map_err(Error::from)
            },)
        };
        let outcome = tokio::select! {
            outcome = served => outcome.map(drop),
            () = shutdown.cancelled() => Ok(()),
        };
        stop.cancel();
        rooms.stop().await;
        // It waits for threads, which is no work for this one.
        drop(tokio::task::spawn_blocking(move || rooms.fanout().stop()).await);
        outcome
    }
}

impl EdgeHandle {
    /// Sends people elsewhere: newcomers are refused, native clients and who follows a room's events are told where to go
    /// and by when, and everyone is served until they have gone or the time is over. Says whether everyone went.
    pub async fn drain(&self, within: Duration) -> bool {
        let deadline = Instant::now() + within;
        self.leaving.send_replace(Some(Leaving { since: stentor_clock::now(), within }));
        let mut look = interval(LOOK);
        while self.connections() > 0 && Instant::now() < deadline {
            look.tick().await;
        }
        self.connections() == 0
    }

    /// Takes newcomers again.
    pub fn undrain(&self) {
        self.leaving.send_replace(None);
    }

    /// Done when a part of the edge has ended that it cannot go on without; those who are left are served on until it is
    /// drained and stopped, which it is to be then.
    pub async fn broken(&self) -> Error {
        self.broken.cancelled().await;
        Error::Shard
    }

    /// How many connections there are: listeners, speakers, and those who have not said yet.
    #[must_use]
    pub fn connections(&self) -> u64 {
        self.connections.get() as u64
    }

    /// Whether newcomers are taken.
    #[must_use]
    pub fn ready(&self) -> bool {
        self.leaving.borrow().is_none()
    }
}
