//! Who comes in: the ticket that a caller shows, checked against the room it asks for; the resume token of a speaker that
//! comes back. Without any call to anyone.
//!
//! It does not know how the caller came, by HTTP or gRPC, and never logs a ticket or a token.

mod verified;

use std::time::Duration;

use parking_lot::Mutex;

use stentor_admission::{Claims, ClusterKeys, Refusal, TicketKeys, bearer};
use stentor_ids::{Code, Fault, RoomId};
use stentor_pace::WallTime;
use stentor_proto::v1;
use tokio::sync::watch;
use tonic::metadata::MetadataMap;

use self::verified::Verified;
use crate::farewell::Leaving;

/// When to try elsewhere after an edge that leaves: at once, but not all in the same moment.
const ELSEWHERE: Duration = Duration::from_secs(1);

/// What an edge checks with, and seals what it will have to believe later.
#[derive(Debug, Clone)]
pub struct Keys {
    /// Verify tickets. Public keys here can make none.
    pub tickets: TicketKeys,
    /// Seal what lets a speaker resume.
    pub cluster: ClusterKeys,
}

/// Checks who comes in at an edge.
#[derive(Debug)]
pub(crate) struct Auth {
    keys: Keys,
    /// With these keys, which stay as they are.
    verified: Mutex<Verified>,
    leaving: watch::Receiver<Option<Leaving>>,
}

impl Auth {
    /// `leaving` turns when the edge leaves; newcomers are refused from then on.
    pub(crate) fn new(keys: Keys, leaving: watch::Receiver<Option<Leaving>>) -> Self {
        Self { keys, verified: Mutex::default(), leaving }
    }

    /// Whether newcomers are taken at all.
    ///
    /// # Errors
    /// `Draining`: the edge is leaving.
    pub(crate) fn check_open(&self) -> Result<(), Fault> {
        if self.leaving.borrow().is_none() {
            return Ok(());
        }
        Err(Fault::new(Code::Draining, "this edge is leaving; connect to another").retry_after(ELSEWHERE))
    }

    /// Someone who wants to do more than hear: a valid ticket for the room is needed.
    ///
    /// # Errors
    /// `Unauthenticated` without a ticket; else why the ticket is worth nothing here and now.
    pub(crate) fn participant(
        &self,
        ticket: Option<&str>,
        room: &RoomId,
        now: WallTime,
    ) -> Result<Claims, Fault> {
        let ticket = required(ticket)?;
        let claims = self.verify(ticket, now)?;
        claims.check_room(room)?;
        Ok(claims)
    }

    fn verify(&self, ticket: &str, now: WallTime) -> Result<Claims, Refusal> {
        let known = self.verified.lock().get(ticket);
        if let Some(claims) = known {
            claims.check_time(now)?;
            return Ok(claims);
        }
        // Without the lock: it takes a while.
        let claims = self.keys.tickets.verify(ticket, now)?;
        self.verified.lock().put(ticket, claims.clone());
        Ok(claims)
    }

    /// Someone who wants to hear. A public room needs no ticket; a bad one is refused all the same, since its holder
    /// wants to know.
    ///
    /// # Errors
    /// As [`Auth::participant`]; `Banned` for the holder of a ticket who was banned is told by the room, not here.
    pub(crate) fn listener(
        &self,
        ticket: Option<&str>,
        room: &RoomId,
        visibility: v1::Visibility,
        now: WallTime,
    ) -> Result<Option<Claims>, Fault> {
        if ticket.is_none() && visibility == v1::Visibility::Public {
            return Ok(None);
        }
        self.participant(ticket, room, now).map(Some)
    }

    /// The stream that the holder of a ticket goes on under after the one in its resume token: the next one, so that a
    /// connection that is half dead cannot speak over it. `None` without a token.
    ///
    /// # Errors
    /// Why the token is worth nothing: forged, around a ticket that is worth nothing, or someone else's.
    pub(crate) fn resumed(&self, token: &str, ticket: &Claims, now: WallTime) -> Result<Option<u64>, Fault> {
        if token.is_empty() {
            return Ok(None);
        }
        let resume = self.keys.cluster.open_resume(token, &self.keys.tickets, now)?;
        resume.check(ticket)?;
        Ok(Some(resume.stream.saturating_add(1)))
    }

    /// A token with which the holder of this ticket goes on after this stream, elsewhere or here.
    pub(crate) fn resume_token(&self, ticket: &str, stream: u64) -> String {
        self.keys.cluster.seal_resume(ticket, stream)
    }
}

/// The ticket without which nothing is to be had.
///
/// # Errors
/// `Unauthenticated`: there is none.
pub(crate) fn required(ticket: Option<&str>) -> Result<&str, Fault> {
    ticket.ok_or_else(|| {
        Fault::new(Code::Unauthenticated, "no ticket; send one as `authorization: Bearer TICKET`")
    })
}

/// The ticket in the metadata of a call, if there is one.
///
/// # Errors
/// `InvalidTicket` for an `authorization` that is no bearer token.
pub(crate) fn ticket_of(metadata: &MetadataMap) -> Result<Option<&str>, Fault> {
    let Some(value) = metadata.get("authorization") else { return Ok(None) };
    let ticket = value.to_str().ok().and_then(bearer).ok_or_else(|| {
        Fault::new(Code::InvalidTicket, "the authorization is not of the form `Bearer TICKET`")
    })?;
    Ok(Some(ticket))
}

#[cfg(test)]
mod tests {
    use stentor_admission::{KeyKind, NewKey, SigningKeys, key_line};
    use stentor_ids::{ParticipantId, Role};

    use super::*;

    const NOW: WallTime = WallTime::from_millis(1_700_000_000_000);

    fn room(name: &str) -> RoomId {
        RoomId::new(name).unwrap()
    }

    fn auth_and_ticket() -> (Auth, String) {
        let private = NewKey::new("main", KeyKind::EdDsa, &[7; 32]).unwrap().private;
        let signing = SigningKeys::parse(&private).unwrap();
        let cluster = ClusterKeys::parse(&key_line("main", &[8; 32]).unwrap()).unwrap();
        let claims = Claims {
            room: room("talk"),
            participant: ParticipantId::new("ann").unwrap(),
            name: "Ann".into(),
            role: Role::Listener,
            expires_at: NOW + Duration::from_secs(60),
            not_before: None,
            issued_at: None,
        };
        let ticket = signing.sign(&claims, None).unwrap();
        let keys = Keys { tickets: signing.verifying(), cluster };
        (Auth::new(keys, watch::channel(None).1), ticket)
    }

    #[test]
    fn a_public_room_is_heard_without_a_ticket_and_a_private_one_is_not() {
        let (auth, ticket) = auth_and_ticket();
        let hear = |ticket, visibility| auth.listener(ticket, &room("talk"), visibility, NOW);
        assert_eq!(hear(None, v1::Visibility::Public), Ok(None));
        assert_eq!(hear(None, v1::Visibility::Private).unwrap_err().code, Code::Unauthenticated);
        assert_eq!(hear(None, v1::Visibility::Unspecified).unwrap_err().code, Code::Unauthenticated);
        assert_eq!(hear(Some(&ticket), v1::Visibility::Private).unwrap().unwrap().name, "Ann");
        assert_eq!(hear(Some("x"), v1::Visibility::Public).unwrap_err().code, Code::InvalidTicket);
    }

    #[test]
    fn a_ticket_opens_its_room_in_its_time() {
        let (auth, ticket) = auth_and_ticket();
        let enter = |name, now| auth.participant(Some(&ticket), &room(name), now).map_err(|fault| fault.code);
        assert!(enter("talk", NOW).is_ok());
        assert_eq!(enter("else", NOW), Err(Code::WrongRoom));
        assert_eq!(enter("talk", NOW + Duration::from_secs(61)), Err(Code::TicketExpired));
        assert_eq!(auth.participant(None, &room("talk"), NOW).unwrap_err().code, Code::Unauthenticated);
    }

    #[test]
    fn a_ticket_that_was_verified_once_is_no_better_later_and_one_that_was_not_is_not_remembered() {
        let (auth, ticket) = auth_and_ticket();
        let enter = |ticket: &str, name, now| {
            auth.participant(Some(ticket), &room(name), now).map(|_| ()).map_err(|fault| fault.code)
        };
        for _ in 0..3 {
            assert_eq!(enter(&ticket, "talk", NOW), Ok(()));
            assert_eq!(enter(&ticket, "else", NOW), Err(Code::WrongRoom));
            assert_eq!(enter(&ticket, "talk", NOW + Duration::from_secs(60)), Err(Code::TicketExpired));
            // Another signature under what a right ticket says.
            let (claims, signature) = ticket.rsplit_once('.').unwrap();
            let other: String = signature.chars().rev().collect();
            for forged in [format!("{claims}.{other}"), format!("{claims}."), format!("x{ticket}")] {
                assert_eq!(enter(&forged, "talk", NOW), Err(Code::InvalidTicket), "{forged}");
            }
        }
        assert_eq!(format!("{:?}", auth.verified.lock()), "Verified(1)");
    }

    #[test]
    fn who_comes_back_goes_on_under_the_next_stream_and_nobody_else_does() {
        let (auth, ticket) = auth_and_ticket();
        let ann = auth.participant(Some(&ticket), &room("talk"), NOW).unwrap();
        let token = auth.resume_token(&ticket, 41);
        assert_eq!(auth.resumed(&token, &ann, NOW), Ok(Some(42)));
        assert_eq!(auth.resumed("", &ann, NOW), Ok(None));
        let eve = Claims { participant: ParticipantId::new("eve").unwrap(), ..ann.clone() };
        for (token, holder, now) in [
            (token.as_str(), &eve, NOW),
            (&token, &ann, NOW + Duration::from_secs(60)),
            (&ticket, &ann, NOW),
            ("garbage", &ann, NOW),
        ] {
            let fault = auth.resumed(token, holder, now).unwrap_err();
            assert!(fault.code == Code::InvalidTicket && fault.detail.contains("resume token"), "{fault}");
        }
    }

    #[test]
    fn an_authorization_that_is_no_bearer_token_is_refused() {
        let mut metadata = MetadataMap::new();
        assert_eq!(ticket_of(&metadata), Ok(None));
        metadata.insert("authorization", "Bearer a.b.c".parse().unwrap());
        assert_eq!(ticket_of(&metadata), Ok(Some("a.b.c")));
        metadata.insert("authorization", "Basic YTpi".parse().unwrap());
        assert_eq!(ticket_of(&metadata).unwrap_err().code, Code::InvalidTicket);
    }
}
