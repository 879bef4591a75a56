//! What is at which address, and who may have it.

use std::{fmt::Write, time::Duration};

use bytes::Bytes;
use http::{
    HeaderValue, Method, StatusCode, Version,
    header::{
        ACCEPT_RANGES, ACCESS_CONTROL_ALLOW_HEADERS, ACCESS_CONTROL_ALLOW_METHODS, ACCESS_CONTROL_MAX_AGE,
        ALLOW, AUTHORIZATION, HOST, TRANSFER_ENCODING,
    },
    uri::Authority,
};
use stentor_admission::bearer;
use stentor_ids::{Code, Fault, RoomId};
use stentor_pace::Time;
use stentor_proto::told::to_people;
use stentor_telemetry::{NodeMetrics, propagation};
use tracing::Instrument as _;

use super::{
    answer::{Answer, answer, encode_endless, problem},
    events::Events,
    head::Request,
    room,
};
use crate::{
    fanout::Framing,
    farewell::Farewell,
    ogg::{Cut, Pad, PageTime},
    rooms::{Audience, Caller, Guesses, Part, Rooms},
};

/// The methods of every address.
const METHODS: &str = "GET, HEAD, OPTIONS";
/// How long a browser may remember that it may ask, in seconds: the longest that any takes.
const PREFLIGHT_AGE: &str = "86400";

/// Answers requests. Knows addresses and rooms, and no sockets.
pub(crate) struct Http(Parts);

/// What they are answered with.
pub(crate) struct Parts {
    pub(crate) rooms: Rooms,
    /// This edge's URL as configured; empty to go by the request.
    pub(crate) base: String,
    pub(crate) farewell: Farewell,
    /// How long a client may take nothing of what waits for it.
    pub(crate) patience: Duration,
    pub(crate) metrics: NodeMetrics,
}

/// What comes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    /// An answer, and whether its body goes out.
    Answer(Answer, bool),
    /// The connection becomes a listener's.
    Listen(Box<Seat>),
    /// The connection becomes one that a room's events are told on.
    Follow(Box<Events>),
}

/// A listener that was let in.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) audience: Audience,
    pub(crate) cut: Cut,
    pub(crate) framing: Framing,
    pub(crate) head: Bytes,
    pub(crate) since: Time,
}

/// The addresses there are.
enum Route<'a> {
    Live(&'a str),
    Events(&'a str),
    Room(&'a str),
    Health,
    Ready,
}

impl Http {
    pub(crate) fn new(parts: Parts) -> Self {
        Self(Parts { base: parts.base.trim_end_matches('/').to_owned(), ..parts })
    }

    /// Answers a request; `scheme` is what it came over.
    pub(crate) async fn answer(&self, request: &Request, scheme: &str) -> Outcome {
        let body = request.method() != Method::HEAD;
        let outcome = self.route(request, scheme).await.unwrap_or_else(|fault| {
            self.0.metrics.refusal(fault.code);
            let mut answer = problem(&fault);
            if fault.code == Code::MethodNotAllowed {
                answer.headers_mut().insert(ALLOW, HeaderValue::from_static(METHODS));
            }
            Outcome::Answer(answer, body)
        });
        let status = match &outcome {
            Outcome::Answer(answer, _) => answer.status(),
            Outcome::Listen(_) | Outcome::Follow(_) => StatusCode::OK,
        };
        self.0.metrics.http_request(status.as_u16());
        outcome
    }

    async fn route(&self, request: &Request, scheme: &str) -> Result<Outcome, Fault> {
        let path = request.uri().path();
        let route = route(path).ok_or_else(|| {
            Fault::new(
                Code::UnknownPath,
                format!("there is nothing at {path:.100}; rooms are at /v1/rooms/ROOM"),
            )
        })?;
        let body = match *request.method() {
            Method::GET => true,
            Method::HEAD => false,
            Method::OPTIONS => return Ok(Outcome::Answer(preflight(), false)),
            ref other => {
                let detail = format!("{other:.20} is not for {path:.100}; it takes {METHODS}");
                return Err(Fault::new(Code::MethodNotAllowed, detail));
            }
        };
        let answered = match route {
            Route::Live(name) => return self.live(name, request, body).await,
            Route::Events(name) => return self.events(name, request, scheme, body).await,
            Route::Room(name) => self.room(name, request, scheme).await?,
            Route::Health => answer(StatusCode::OK, "text/plain", "ok\n"),
            Route::Ready => {
                self.0.rooms.auth().check_open()?;
                answer(StatusCode::OK, "text/plain", "ready\n")
            }
        };
        Ok(Outcome::Answer(answered, body))
    }

    async fn live(&self, name: &str, request: &Request, body: bool) -> Result<Outcome, Fault> {
        let since = stentor_clock::now();
        let span = tracing::info_span!("listen", protocol = "ogg", room = name);
        propagation::adopt_http(&span, request.headers());
        let (room, cut, guesses) = (room_id(name)?, cut(request)?, Guesses::default());
        let caller = Caller { ticket: ticket(request)?, guesses: &guesses };
        let mut answer = answer(StatusCode::OK, "audio/ogg; codecs=opus", Bytes::new());
        answer.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("none"));
        let framing = if request.version() == Version::HTTP_10 { Framing::Raw } else { Framing::Chunked };
        if framing == Framing::Chunked {
            answer.headers_mut().insert(TRANSFER_ENCODING, HeaderValue::from_static("chunked"));
        }
        if !body {
            self.0.rooms.auth().check_open()?;
            self.0.rooms.check(&room, caller).instrument(span).await?;
            return Ok(Outcome::Answer(answer, false));
        }
        let audience = self.0.rooms.admit(&room, caller, Part::Listener).instrument(span).await?;
        let head = encode_endless(&answer);
        Ok(Outcome::Listen(Box::new(Seat { audience, cut, framing, head, since })))
    }

    async fn events(
        &self,
        name: &str,
        request: &Request,
        scheme: &str,
        body: bool,
    ) -> Result<Outcome, Fault> {
        let span = tracing::info_span!("events", room = name);
        propagation::adopt_http(&span, request.headers());
        let (room, guesses) = (room_id(name)?, Guesses::default());
        let caller = Caller { ticket: ticket(request)?, guesses: &guesses };
        // The body ends with the connection (RFC 9112, section 6.3), in either version.
        let answer = answer(StatusCode::OK, "text/event-stream", Bytes::new());
        if !body {
            self.0.rooms.auth().check_open()?;
            self.0.rooms.check(&room, caller).instrument(span).await?;
            return Ok(Outcome::Answer(answer, false));
        }
        let audience = self.0.rooms.admit(&room, caller, Part::Watcher).instrument(span).await?;
        let hint = self.0.farewell.hint(audience.participant());
        let (head, base) = (encode_endless(&answer), self.base_of(request, scheme));
        Ok(Outcome::Follow(Box::new(Events::new(audience, hint, head, base, self.0.patience))))
    }

    async fn room(&self, name: &str, request: &Request, scheme: &str) -> Result<Answer, Fault> {
        let (room, guesses) = (room_id(name)?, Guesses::default());
        let caller = Caller { ticket: ticket(request)?, guesses: &guesses };
        let room = to_people(&*self.0.rooms.look(&room, caller).await?);
        let told = room::tell(&room, &self.base_of(request, scheme));
        let json = serde_json::to_string(&told).map_err(|error| {
            Fault::new(Code::Internal, format!("the room's state cannot be written as JSON: {error}"))
        })?;
        Ok(answer(StatusCode::OK, "application/json", json))
    }

    /// This edge's URL as the client knows it; empty, which makes paths, for a client that does not say.
    fn base_of(&self, request: &Request, scheme: &str) -> String {
        let mut base = self.0.base.clone();
        let host = request.headers().get(HOST).and_then(|host| Authority::try_from(host.as_bytes()).ok());
        if base.is_empty()
            && let Some(host) = host
        {
            // Writing to a string does not fail.
            let _ = write!(base, "{scheme}://{host}");
        }
        base
    }
}

fn route(path: &str) -> Option<Route<'_>> {
    match path {
        "/healthz" => return Some(Route::Health),
        "/readyz" => return Some(Route::Ready),
        _ => {}
    }
    let rest = path.strip_prefix("/v1/rooms/")?;
    match rest.split_once('/') {
        None if !rest.is_empty() => Some(Route::Room(rest)),
        Some((room, "live.ogg")) => Some(Route::Live(room)),
        Some((room, "events")) => Some(Route::Events(room)),
        _ => None,
    }
}

/// What a browser asks before it asks (the Fetch standard, section 3.3).
fn preflight() -> Answer {
    let mut answer = answer(StatusCode::NO_CONTENT, "text/plain", Bytes::new());
    for (name, value) in [
        (ALLOW, METHODS),
        (ACCESS_CONTROL_ALLOW_METHODS, METHODS),
        (ACCESS_CONTROL_ALLOW_HEADERS, "authorization, traceparent, tracestate"),
        (ACCESS_CONTROL_MAX_AGE, PREFLIGHT_AGE),
    ] {
        answer.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    answer
}

fn room_id(name: &str) -> Result<RoomId, Fault> {
    RoomId::new(name).map_err(|error| Fault::new(Code::InvalidArgument, error.to_string()))
}

/// How the listener wants the stream cut: `page=MS`, `pad=KBPS`.
fn cut(request: &Request) -> Result<Cut, Fault> {
    let bad = |detail: String| Fault::new(Code::InvalidArgument, detail);
    let page = parameter(request, "page").map(|page| {
        page.parse().ok().and_then(PageTime::from_millis).ok_or_else(|| {
            bad(format!("page={page:.20} is no page time; give a multiple of 20 from 20 to 1000, in ms"))
        })
    });
    let pad = parameter(request, "pad").map(|pad| {
        pad.parse().ok().and_then(Pad::from_kbps).ok_or_else(|| {
            bad(format!(
                "pad={pad:.20} is not offered; give 128, 256, 512 or 1024, in kbit/s, or leave it out"
            ))
        })
    });
    let (page, pad) = (page.transpose()?.unwrap_or_default(), pad.transpose()?.unwrap_or_default());
    Cut::new(page, pad).map_err(|longest| {
        let (asked, longest) = (page.millis(), longest.millis());
        bad(format!(
            "page={asked} with this pad does not fit into an Ogg page; give a page of {longest} or less"
        ))
    })
}

/// The ticket in the `Authorization` header, or in the query, since an audio element cannot set headers.
fn ticket(request: &Request) -> Result<Option<&str>, Fault> {
    let Some(value) = request.headers().get(AUTHORIZATION) else { return Ok(parameter(request, "ticket")) };
    let ticket = value.to_str().ok().and_then(bearer).ok_or_else(|| {
        Fault::new(Code::InvalidTicket, "the authorization is not of the form `Bearer TICKET`")
    })?;
    Ok(Some(ticket))
}

/// A query parameter as it stands: none of ours needs percent encoding.
fn parameter<'a>(request: &'a Request, name: &str) -> Option<&'a str> {
    let mut pairs = request.uri().query().unwrap_or_default().split('&');
    pairs.find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn get(uri: &str) -> Request {
        http::Request::get(uri).body(()).unwrap()
    }

    #[test]
    fn paths_lead_to_what_they_name_and_nowhere_else() {
        assert!(matches!(route("/v1/rooms/demo"), Some(Route::Room("demo"))));
        assert!(matches!(route("/v1/rooms/demo/live.ogg"), Some(Route::Live("demo"))));
        assert!(matches!(route("/v1/rooms/demo/events"), Some(Route::Events("demo"))));
        assert!(matches!((route("/healthz"), route("/readyz")), (Some(Route::Health), Some(Route::Ready))));
        for path in
            ["/", "*", "/v1/rooms", "/v1/rooms/", "/v1/rooms/demo/", "/v1/rooms/demo/live.ogg/x", "/v2"]
        {
            assert!(route(path).is_none(), "{path}");
        }
    }

    #[test]
    fn a_listener_says_how_the_stream_is_cut() {
        let cut = |query: &str| cut(&get(&format!("/x{query}")));
        let page = |query| cut(query).map(|cut| cut.page.slots());
        assert_eq!((page(""), page("?a=b&page=1000"), page("?page=20&x")), (Ok(5), Ok(50), Ok(1)));
        assert_eq!(cut("?pad=256").unwrap().pad, Pad::from_kbps(256).unwrap());
        assert_eq!(cut("?page=20").unwrap().pad, Pad::default());
        for bad in
            ["?page=", "?page=0", "?page=30", "?page=1020", "?page=-20", "?page=99999999999", "?page=x"]
                .into_iter()
                .chain(["?pad=", "?pad=0", "?pad=100", "?pad=99999999999", "?page=20&pad=x"])
                .chain(["?page=1000&pad=512", "?pad=1024&page=480"])
        {
            assert_eq!(cut(bad).unwrap_err().code, Code::InvalidArgument, "{bad}");
        }
    }

    #[test]
    fn a_ticket_comes_by_header_or_query_and_the_header_wins() {
        assert_eq!(ticket(&get("/x")), Ok(None));
        assert_eq!(ticket(&get("/x?page=20&ticket=a.b.c")), Ok(Some("a.b.c")));
        let mut request = get("/x?ticket=a.b.c");
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Bearer d.e.f"));
        assert_eq!(ticket(&request), Ok(Some("d.e.f")));
        request.headers_mut().insert(AUTHORIZATION, HeaderValue::from_static("Basic eDp5"));
        assert_eq!(ticket(&request).unwrap_err().code, Code::InvalidTicket);
    }
}
