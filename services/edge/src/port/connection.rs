//! One connection, from its first byte to where it belongs.

use std::{io, time::Duration};

use bytes::{Bytes, BytesMut};
use stentor_ids::{Code, Fault};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    rewound::{Rewound, Socket},
    service::Service,
};
use crate::{
    count::Held,
    fanout::{Newcomer, Wire},
    http::{self, Head, MAX_HEAD_BYTES, Outcome, Seat},
};

/// How long a head may take, handshake included. What a browser sends comes in one packet; a client that drips holds a
/// connection no longer than this.
const HEAD: Duration = Duration::from_secs(5);
/// How long an answer may take to be taken, and the client to hang up then.
const TAKEN: Duration = Duration::from_secs(2);
/// Bytes that are thrown away after an answer. Closing with bytes unread would reset the connection and take the answer
/// back (RFC 9112, section 9.6); who sends more than this is not reading answers.
const MAX_LINGER_BYTES: usize = 64 * 1024;

/// Serves one connection that is within the bound.
pub(super) async fn serve(service: Service, socket: TcpStream, held: Held) {
    let scheme = if service.tls.is_some() { "https" } else { "http" };
    let Some((mut socket, first, head)) = begin(&service, socket).await else { return };
    match head {
        Ok(Head::Http2) => {
            let connection = Rewound::new(socket, first, service.stop.clone(), held);
            // Without a server to take it the edge is stopping.
            drop(service.grpc.send(Ok(connection)).await);
        }
        Ok(Head::Request(request)) => match service.http.answer(&request, scheme).await {
            Outcome::Answer(answer, body) => say(&mut socket, &http::encode(&answer, body)).await,
            Outcome::Follow(events) => {
                events.serve(socket).await;
                drop(held);
            }
            Outcome::Listen(seat) => {
                if let Err(error) = hand_over(&service, socket, *seat, held) {
                    tracing::warn!(%error, "a listener's socket could not be handed over");
                }
            }
        },
        Ok(Head::Bad(why)) => refuse(&mut socket, Fault::new(Code::InvalidArgument, why)).await,
        Ok(Head::Partial) | Err(_) => {
            let detail = format!("the request head did not come whole within {} s", HEAD.as_secs());
            refuse(&mut socket, Fault::new(Code::InvalidArgument, detail)).await;
        }
    }
}

/// Tells a connection above the bound that it is, if it speaks HTTP/1.x; hangs up on any other.
pub(super) async fn turn_away(service: &Service, socket: TcpStream, fault: &Fault) {
    if let Some((mut socket, _, Ok(Head::Request(request)))) = begin(service, socket).await {
        let body = request.method() != ::http::Method::HEAD;
        say(&mut socket, &http::encode(&http::problem(fault), body)).await;
    }
}

/// Nothing but slow.
struct Late;

/// Reads as much as tells what is spoken. `None` for a client that hung up or never said a thing.
async fn begin(service: &Service, socket: TcpStream) -> Option<(Socket, Bytes, Result<Head, Late>)> {
    let deadline = tokio::time::Instant::now() + HEAD;
    let mut socket = match &service.tls {
        None => Socket::Plain(socket),
        Some(tls) => {
            let secured = tokio::time::timeout_at(deadline, tls.accept(socket)).await;
            Socket::Tls(Box::new(secured.ok()?.ok()?))
        }
    };
    let mut first = BytesMut::with_capacity(1024);
    let head = loop {
        match http::read(&first) {
            Head::Partial => {}
            head => break Ok(head),
        }
        let room = MAX_HEAD_BYTES - first.len();
        match tokio::time::timeout_at(deadline, (&mut socket).take(room as u64).read_buf(&mut first)).await {
            Ok(Ok(0)) | Ok(Err(_)) => return None,
            Ok(Ok(_)) => {}
            Err(_) if first.is_empty() => return None,
            Err(_) => break Err(Late),
        }
    };
    Some((socket, first.freeze(), head))
}

async fn refuse(socket: &mut Socket, fault: Fault) {
    say(socket, &http::encode(&http::problem(&fault), true)).await;
}

/// Says the last that is said on a connection, and waits a little for the client to have heard it.
async fn say(socket: &mut Socket, bytes: &[u8]) {
    let said = async {
        socket.write_all(bytes).await?;
        socket.shutdown().await?;
        let mut rest = tokio::io::sink();
        tokio::io::copy(&mut socket.take(MAX_LINGER_BYTES as u64), &mut rest).await
    };
    // A client that is gone, or does not hang up, has nothing more to hear.
    drop(timeout(TAKEN, said).await);
}

/// Makes a listener out of a connection.
fn hand_over(service: &Service, socket: Socket, seat: Seat, held: Held) -> io::Result<()> {
    let Seat { audience, cut, framing, head, since } = seat;
    let (socket, tls) = match socket {
        Socket::Plain(socket) => (socket, None),
        Socket::Tls(stream) => {
            let (socket, tls) = stream.into_inner();
            (socket, Some(tls))
        }
    };
    let newcomer = Newcomer {
        wire: Wire::new(socket.into_std()?, tls),
        room: audience.on_air.room().clone(),
        cut,
        framing,
        head,
        until: audience.claims.as_ref().map(|claims| stentor_clock::when(claims.expires_at)),
        participant: audience.claims.map(|claims| claims.participant),
        since,
        held: [audience.held, held],
    };
    service.rooms.fanout().join(newcomer).or_else(|mut newcomer| {
        let fault = Fault::new(Code::Overloaded, "too many listeners come at once; try again");
        let answer = http::problem(&fault.retry_after(Duration::from_secs(1)));
        newcomer.turn_away(&http::encode(&answer, true))
    })
}
