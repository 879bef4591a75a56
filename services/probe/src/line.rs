//! The way to an edge: which of several, how to connect, and whether to try again. It does not know what is said over
//! the connection.
//!
//! Invariant: nothing here waits without a bound; a refusal that waiting does not mend ends the probe at once.

use std::{fmt, time::Duration};

use stentor_ids::{Code, Fault, RoomId};
use stentor_pace::Backoff;
use stentor_proto::{
    length_of,
    v1::{Move, RoomRequest, participant_service_client::ParticipantServiceClient},
};
use tokio::time::{Instant, sleep, timeout};
use tonic::{
    Request,
    metadata::{Ascii, MetadataValue},
    transport::{Certificate, Channel, ClientTlsConfig, Endpoint},
};

use crate::Error;

/// Longest wait for TCP and TLS to come about. An edge that is there answers in a round trip.
const CONNECT: Duration = Duration::from_secs(5);
/// Longest wait for the first answer to a call: a join may have to wait for a room's new owner.
pub(crate) const ANSWER: Duration = Duration::from_secs(10);
/// How often the connection is tried for life, and how long it may take to answer: an edge that hangs is left after
/// six seconds.
const KEEPALIVE: (Duration, Duration) = (Duration::from_secs(3), Duration::from_secs(3));
/// How long there is to go elsewhere where an edge names no deadline.
const MOVE: Duration = Duration::from_secs(10);
/// First and longest wait between two tries.
const BACKOFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(3));

/// Where to connect, and as whom.
#[derive(Clone, Default)]
pub struct Target {
    /// Addresses of edges, `http://host:port` or `https://host:port`. The first is tried first.
    pub edges: Vec<String>,
    /// The ticket, if one is needed.
    pub ticket: Option<String>,
    /// PEM certificates to trust for `https`.
    pub ca_pem: Option<Vec<u8>>,
}

impl Target {
    /// Whether the first edge can be reached at all, tried once. Says nothing of what it would answer.
    ///
    /// # Errors
    /// [`Error::Url`] or [`Error::Unreachable`].
    pub async fn reach(&self) -> Result<(), Error> {
        Line::new(self.clone(), Patience::default()).dial().await.map(drop)
    }

    /// Takes the ticket's holder off the stage of a room, so that another has a place; a speaker that only hangs up
    /// stays on it.
    ///
    /// # Errors
    /// [`Error::Refused`] if the room says no; the others if it could not be asked.
    pub async fn leave(&self, room: &RoomId) -> Result<(), Error> {
        let line = Line::new(self.clone(), Patience::default());
        let Connection { url, channel } = line.dial().await?;
        let request = line.request(RoomRequest { room: room.to_string() })?;
        let mut client = ParticipantServiceClient::new(channel);
        match timeout(ANSWER, client.leave(request)).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(status)) => Err(Error::of_status(&url, &status)),
            Err(_) => Err(Error::Broken { url, reason: format!("no answer within {ANSWER:?}") }),
        }
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ticket = self.ticket.as_ref().map(|_| "…");
        f.debug_struct("Target").field("edges", &self.edges).field("ticket", &ticket).finish_non_exhaustive()
    }
}

/// How long to go on trying for a connection.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// For the first one. Zero gives the first failure back.
    pub first: Duration,
    /// For the next one, after one broke.
    pub later: Duration,
}

impl Default for Patience {
    /// None for the first, a minute for the next.
    fn default() -> Self {
        Self { first: Duration::ZERO, later: Duration::from_secs(60) }
    }
}

/// The way to one of the target's edges.
#[derive(Clone)]
pub(crate) struct Line {
    target: Target,
    patience: Duration,
    later: Duration,
    /// Which of the target's edges is next.
    turn: usize,
    /// An edge that another one has named.
    sent_to: Option<String>,
    backoff: Backoff,
    without_since: Instant,
}

/// A connection, and where it leads.
pub(crate) struct Connection {
    pub(crate) url: String,
    pub(crate) channel: Channel,
}

impl Line {
    pub(crate) fn new(target: Target, patience: Patience) -> Self {
        Self {
            target,
            patience: patience.first,
            later: patience.later,
            turn: 0,
            sent_to: None,
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            without_since: Instant::now(),
        }
    }

    /// One try to connect.
    pub(crate) async fn dial(&self) -> Result<Connection, Error> {
        let url = match &self.sent_to {
            Some(url) => url.clone(),
            None => self.own_edge()?.clone(),
        };
        let endpoint = endpoint(&url, self.target.ca_pem.as_deref())?;
        match timeout(CONNECT, endpoint.connect()).await {
            Ok(Ok(channel)) => Ok(Connection { url, channel }),
            Ok(Err(error)) => Err(Error::unreachable(&url, &error)),
            Err(_) => Err(Error::Unreachable { url, reason: format!("no answer within {CONNECT:?}") }),
        }
    }

    fn own_edge(&self) -> Result<&String, Error> {
        let none = || Error::Url { url: String::new(), reason: "no address of an edge is given".into() };
        self.target.edges.get(self.turn % self.target.edges.len().max(1)).ok_or_else(none)
    }

    /// A request that carries the ticket.
    pub(crate) fn request<T>(&self, message: T) -> Result<Request<T>, Error> {
        let mut request = Request::new(message);
        if let Some(ticket) = &self.target.ticket {
            let bearer: MetadataValue<Ascii> = format!("Bearer {ticket}").parse().map_err(|_| {
                Error::Refused(Fault::new(
                    Code::InvalidTicket,
                    "the ticket holds characters that no ticket has",
                ))
            })?;
            request.metadata_mut().insert("authorization", bearer);
        }
        Ok(request)
    }

    /// The call is answered: failures before it are forgotten, and from now on the patience for later ones counts.
    pub(crate) fn is_up(&mut self) {
        self.backoff.reset();
        self.patience = self.later;
    }

    /// The call has just ended: patience is counted from now on.
    pub(crate) fn is_lost(&mut self) {
        self.without_since = Instant::now();
    }

    /// The way to where an edge that leaves says to go, to be tried beside this one: first the edge that it names, if it
    /// names any, then the target's own, until its deadline. With it comes how long to wait before: up to half of the time,
    /// so that a crowd does not go all at once and each has the other half to be taken in.
    pub(crate) fn elsewhere(&self, to: &Move) -> (Self, Duration) {
        let named = length_of(to.deadline);
        let within = if named.is_zero() { MOVE } else { named };
        let line = Self {
            target: self.target.clone(),
            patience: within,
            later: self.later,
            turn: self.turn + 1,
            sent_to: Some(&to.url).filter(|url| !url.is_empty()).cloned(),
            backoff: Backoff::new(BACKOFF.0, BACKOFF.1),
            without_since: Instant::now(),
        };
        (line, (within / 2).mul_f64(rand::random()))
    }

    /// Waits until the next try, at the next edge.
    ///
    /// # Errors
    /// Gives the error back if waiting does not mend it, or patience is at its end.
    pub(crate) async fn wait(&mut self, error: Error) -> Result<(), Error> {
        let asked = match &error {
            Error::Refused(fault) if passes(fault.code) => fault.retry_after,
            Error::Unreachable { .. } | Error::Broken { .. } => None,
            _ => return Err(error),
        };
        let left = self.patience.saturating_sub(self.without_since.elapsed());
        let wait = self.backoff.next(rand::random()).max(asked.unwrap_or_default());
        if wait >= left {
            return Err(error);
        }
        self.turn += 1;
        self.sent_to = None;
        sleep(wait).await;
        Ok(())
    }
}

/// Whether the refusal may be over soon.
const fn passes(code: Code) -> bool {
    matches!(
        code,
        Code::NotLiveYet
            | Code::TooFast
            | Code::Overloaded
            | Code::NoOwner
            | Code::NotOwner
            | Code::Draining
            | Code::DirectoryUnavailable
            | Code::NodeUnavailable
            | Code::Internal
    )
}

fn endpoint(url: &str, ca_pem: Option<&[u8]>) -> Result<Endpoint, Error> {
    let bad = |reason: &str| Error::Url { url: url.to_owned(), reason: reason.to_owned() };
    let endpoint = Endpoint::from_shared(url.to_owned()).map_err(|error| bad(&error.to_string()))?;
    let endpoint = endpoint
        .connect_timeout(CONNECT)
        .tcp_nodelay(true)
        .http2_keep_alive_interval(KEEPALIVE.0)
        .keep_alive_timeout(KEEPALIVE.1)
        .keep_alive_while_idle(true);
    match (endpoint.uri().scheme_str(), ca_pem) {
        (Some("http"), _) => Ok(endpoint),
        (Some("https"), Some(ca)) => {
            let tls = ClientTlsConfig::new().ca_certificate(Certificate::from_pem(ca));
            endpoint.tls_config(tls).map_err(|error| Error::unreachable(url, &error))
        }
        (Some("https"), None) => Err(bad("https needs the certificates to trust (a CA file)")),
        _ => Err(bad("give http://host:port or https://host:port")),
    }
}

#[cfg(test)]
mod tests {
    use stentor_proto::span;

    use super::*;

    fn line(edges: &[&str], first: Duration) -> Line {
        let edges = edges.iter().map(|&edge| edge.to_owned()).collect();
        Line::new(Target { edges, ..Target::default() }, Patience { first, later: Duration::from_secs(60) })
    }

    fn refused(code: Code) -> Error {
        Error::Refused(Fault::new(code, "no"))
    }

    #[tokio::test]
    async fn an_address_that_is_none_is_refused_with_its_text() {
        for (url, hint) in [
            ("127.0.0.1:8080", "http://host:port"),
            ("ftp://a", "http://host:port"),
            ("https://a", "CA file"),
            ("ht tp", "invalid"),
        ] {
            let error = line(&[url], Duration::ZERO).dial().await.err().expect(url).to_string();
            assert!(error.contains(url) && error.contains(hint), "{error}");
        }
        assert!(line(&[], Duration::ZERO).dial().await.is_err());
    }

    #[tokio::test]
    async fn nothing_listening_is_unreachable_and_says_why() {
        let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = line(&[&format!("http://{free}")], Duration::ZERO).dial().await.err().unwrap();
        assert!(matches!(error, Error::Unreachable { .. }), "{error:?}");
        assert!(error.to_string().contains("refused"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn patience_ends_and_the_last_error_comes_back() {
        let mut line = line(&["http://a:1", "http://b:1"], Duration::from_secs(20));
        let start = Instant::now();
        let mut tries = 0;
        while line.wait(refused(Code::NoOwner)).await.is_ok() {
            tries += 1;
            assert_eq!(line.own_edge().unwrap(), ["http://a:1", "http://b:1"][tries % 2]);
        }
        assert!(tries > 5 && start.elapsed() <= Duration::from_secs(20), "{tries} in {:?}", start.elapsed());
        line.is_up();
        line.is_lost();
        assert!(line.wait(refused(Code::NoOwner)).await.is_ok());
        assert!(line.wait(refused(Code::Banned)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn a_refusal_that_names_a_time_is_waited_for_that_long() {
        let mut line = line(&["http://a:1"], Duration::from_secs(20));
        let start = Instant::now();
        let fault = Fault::new(Code::NotLiveYet, "later").retry_after(Duration::from_secs(7));
        line.wait(Error::Refused(fault.clone())).await.unwrap();
        assert!(start.elapsed() >= Duration::from_secs(7));
        line.without_since = Instant::now() - Duration::from_secs(15);
        assert!(line.wait(Error::Refused(fault)).await.is_err());
    }

    #[tokio::test(start_paused = true)]
    async fn an_edge_that_leaves_is_left_for_the_one_it_names_then_for_ours_until_its_deadline() {
        let line = line(&["http://a:1", "http://b:1"], Duration::from_secs(20));
        let to = Move { url: "http://c:1".into(), deadline: Some(span(Duration::from_secs(4))) };
        let (mut there, wait) = line.elsewhere(&to);
        assert!(wait <= Duration::from_secs(2), "{wait:?}");
        assert_eq!(there.sent_to.as_deref(), Some("http://c:1"));
        let start = Instant::now();
        while there.wait(refused(Code::Draining)).await.is_ok() {
            assert_eq!(there.sent_to, None);
        }
        assert!(start.elapsed() <= Duration::from_secs(4), "{:?}", start.elapsed());
        let nowhere = line.elsewhere(&Move::default());
        assert_eq!((nowhere.0.sent_to, nowhere.0.patience), (None, MOVE));
    }

    #[test]
    fn a_ticket_is_not_in_the_debug_output() {
        let target = Target { ticket: Some("secret".into()), ..Target::default() };
        assert!(!format!("{target:?}").contains("secret"));
    }
}
