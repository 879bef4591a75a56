//! The members of an etcd cluster and the one that is in use: time-outs, turning to the next, and what etcd's errors mean.

use std::{
    error::Error as _,
    fmt::Write,
    fs,
    future::Future,
    path::Path,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use etcd_client::{Certificate, Client, ConnectOptions, GetOptions, Identity, TlsOptions};
use tokio::{task::JoinSet, time::timeout};

use crate::{Error, EtcdConfig, config::EtcdTls};

/// How long a member may leave a ping unanswered.
const PING_TIMEOUT: Duration = Duration::from_secs(3);

pub(super) struct Members {
    members: Vec<Member>,
    in_use: AtomicUsize,
    request_timeout: Duration,
}

#[derive(Clone)]
struct Member {
    endpoint: String,
    client: Client,
}

impl Members {
    /// Takes the first member that answers.
    pub(super) async fn connect(config: &EtcdConfig, prefix: &str) -> Result<Self, Error> {
        let mut members = Vec::with_capacity(config.endpoints.len());
        for endpoint in &config.endpoints {
            let client = Client::connect([endpoint], Some(options(config)?)).await;
            let client =
                client.map_err(|error| Error::Config(format!("endpoint {endpoint:?}: {}", text(&error))))?;
            members.push(Member { endpoint: endpoint.clone(), client });
        }
        let mut probes = JoinSet::new();
        for (index, member) in members.iter().cloned().enumerate() {
            let key = prefix.to_owned();
            let wait = config.connect_timeout();
            probes.spawn(async move { member.probe(key, wait).await.map(|()| index) });
        }
        let mut failures = Vec::new();
        while let Some(probe) = probes.join_next().await {
            match probe {
                Ok(Ok(index)) => {
                    let request_timeout = config.request_timeout();
                    return Ok(Self { members, in_use: AtomicUsize::new(index), request_timeout });
                }
                Ok(Err(error)) => failures.push(error),
                Err(_) => {}
            }
        }
        Err(no_member(config, &failures))
    }

    /// Asks one member, once.
    pub(super) async fn call_once<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        let index = self.in_use.load(Ordering::Relaxed);
        let mut turn = TurnUnlessAnswered(Some((self, index)));
        let answer = self.members[index].call(self.request_timeout, &call).await;
        if !answer.as_ref().is_err_and(Error::is_unavailable) {
            turn.0 = None;
        }
        answer
    }

    /// Asks one member after the other until one answers; for calls that may be repeated.
    pub(super) async fn call_any<T, F>(&self, call: impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        for _ in 1..self.members.len() {
            match self.call_once(&call).await {
                Err(error) if error.is_unavailable() => {}
                answer => return answer,
            }
        }
        self.call_once(&call).await
    }

    /// Turns from the member in use, as it has failed in something that was not a call.
    pub(super) fn failed(&self, reason: String) -> Error {
        let index = self.in_use.load(Ordering::Relaxed);
        self.turn_from(index);
        self.members[index].unavailable(reason)
    }

    pub(super) const fn request_timeout(&self) -> Duration {
        self.request_timeout
    }

    /// Uses the next member from now on, unless somebody has turned already.
    fn turn_from(&self, index: usize) {
        let next = (index + 1) % self.members.len();
        let _ = self.in_use.compare_exchange(index, next, Ordering::Relaxed, Ordering::Relaxed);
    }
}

/// Turns from a member that gave no answer, also if whoever asked has stopped waiting before the time-out.
struct TurnUnlessAnswered<'a>(Option<(&'a Members, usize)>);

impl Drop for TurnUnlessAnswered<'_> {
    fn drop(&mut self) {
        if let Some((members, index)) = self.0 {
            members.turn_from(index);
        }
    }
}

impl Member {
    async fn probe(self, key: String, wait: Duration) -> Result<(), Error> {
        let read = |client: Client| {
            let key = key.clone();
            async move { client.kv_client().get(key, Some(GetOptions::new().with_count_only())).await }
        };
        self.call(wait, &read).await.map(drop)
    }

    async fn call<T, F>(&self, wait: Duration, call: &impl Fn(Client) -> F) -> Result<T, Error>
    where
        F: Future<Output = Result<T, etcd_client::Error>>,
    {
        match timeout(wait, call(self.client.clone())).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => Err(self.meaning(&error)),
            Err(_) => Err(self.unavailable(format!("no answer within {wait:?}"))),
        }
    }

    /// What an error of the client means to us. The numbers are gRPC status codes.
    fn meaning(&self, error: &etcd_client::Error) -> Error {
        const NOT_FOUND: i32 = 5;
        const PERMISSION_DENIED: i32 = 7;
        const UNAUTHENTICATED: i32 = 16;
        let reason = text(error);
        match error {
            etcd_client::Error::LeaseKeepAliveError(_) => Error::LeaseGone,
            etcd_client::Error::GRpcStatus(status) => match i32::from(status.code()) {
                NOT_FOUND if reason.contains("lease") => Error::LeaseGone,
                PERMISSION_DENIED | UNAUTHENTICATED => Error::Refused { directory: self.name(), reason },
                _ if is_tls(&reason) => Error::Refused { directory: self.name(), reason },
                _ => self.unavailable(reason),
            },
            _ => self.unavailable(reason),
        }
    }

    fn unavailable(&self, reason: String) -> Error {
        Error::Unavailable { directory: self.name(), reason }
    }

    fn name(&self) -> String {
        format!("etcd at {}", self.endpoint)
    }
}

/// Why none of the members would do. One member's refusal says more than another's silence.
fn no_member(config: &EtcdConfig, failures: &[Error]) -> Error {
    if let Some(refusal) = failures.iter().find(|failure| !failure.is_unavailable()) {
        return refusal.clone();
    }
    let mut reason = match failures.first() {
        Some(Error::Unavailable { reason, .. }) => reason.clone(),
        _ => "no answer".to_owned(),
    };
    if config.tls.is_some() {
        // By TLS 1.3 a server that does not trust a client just ends the connection.
        reason.push_str(", or it does not trust this client's certificate");
    }
    Error::Unavailable { directory: format!("etcd at {}", config.endpoints.join(", ")), reason }
}

/// Whether a connection failed over certificates. The chain of errors has no type that says so.
fn is_tls(reason: &str) -> bool {
    reason.contains("certificate") || reason.contains("HandshakeFailure")
}

/// The error with its causes.
pub(super) fn text(error: &etcd_client::Error) -> String {
    let (mut text, mut cause) = match error {
        etcd_client::Error::GRpcStatus(status) => (status.message().to_owned(), status.source()),
        etcd_client::Error::TransportError(error) => (error.to_string(), error.source()),
        other => (other.to_string(), None),
    };
    while let Some(error) = cause {
        let _ = write!(text, ": {error}");
        cause = error.source();
    }
    text
}

fn options(config: &EtcdConfig) -> Result<ConnectOptions, Error> {
    let options = ConnectOptions::new()
        .with_connect_timeout(config.connect_timeout())
        .with_keep_alive(config.keepalive(), PING_TIMEOUT)
        .with_require_leader(true);
    Ok(match &config.tls {
        None => options,
        Some(tls) => options.with_tls(tls_options(tls)?),
    })
}

fn tls_options(EtcdTls { ca, cert, key }: &EtcdTls) -> Result<TlsOptions, Error> {
    let ca = Certificate::from_pem(pem(ca)?);
    let identity = Identity::from_pem(pem(cert)?, pem(key)?);
    Ok(TlsOptions::new().ca_certificate(ca).identity(identity))
}

fn pem(path: &Path) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|error| Error::Config(format!("tls file {}: {error}", path.display())))
}
