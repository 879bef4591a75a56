//! Resume tokens: what lets a speaker take its seat up again over another connection, at any edge, while the room's owner
//! is away.
//!
//! A resume token is signed with the keys of tickets and is never taken for one, nor a ticket for it: its header says so
//! (RFC 8725, section 3.11), and so does its audience. It is shown beside a ticket, opens nothing by itself, and is worth
//! something for the ticket's room and holder only.

use jwt_compact::{AlgorithmExt, Claims as Times, Header, alg::Hs256};
use serde::{Deserialize, Serialize};
use stentor_ids::{ParticipantId, RoomId};
use stentor_pace::WallTime;

use crate::{
    Claims, KeySet, Refusal, SignError,
    ticket::{from_date, to_date},
};

/// The type in the header of a resume token.
pub(crate) const TYPE: &str = "stentor-resume+jwt";
/// The audience: the one place where a resume token is taken.
const AUDIENCE: &str = "stentor/speak";

/// Where a speaker left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// The room spoken into.
    pub room: RoomId,
    /// Who spoke.
    pub participant: ParticipantId,
    /// The number of its packets' stream; what follows has a higher one.
    pub stream: u64,
    /// From when on it is worth nothing: when the ticket that it came with is, cut to whole seconds.
    pub expires_at: WallTime,
}

/// The claims beside the times, as they stand in a token.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Body {
    aud: String,
    room: RoomId,
    sub: ParticipantId,
    stream: u64,
}

impl Resume {
    /// Checks that it continues what the holder of this ticket did.
    ///
    /// # Errors
    /// It is for another room, or is someone else's.
    pub fn check(&self, ticket: &Claims) -> Result<(), Refusal> {
        if self.room != ticket.room {
            return Err(refused("it is for another room"));
        }
        if self.participant != ticket.participant {
            return Err(refused("it is another participant's"));
        }
        Ok(())
    }
}

impl KeySet {
    /// Signs a resume token with the first key.
    ///
    /// # Errors
    /// Its expiry is beyond the calendar.
    pub fn sign_resume(&self, resume: &Resume) -> Result<String, SignError> {
        let (name, secret) = self.signer(None).ok_or_else(|| SignError::UnknownKey(String::new()))?;
        let mut token = Times::new(Body {
            aud: AUDIENCE.to_owned(),
            room: resume.room.clone(),
            sub: resume.participant.clone(),
            stream: resume.stream,
        });
        token.expiration = Some(to_date(resume.expires_at)?);
        let header = Header::empty().with_token_type(TYPE).with_key_id(name);
        Ok(Hs256.token(&header, &token, secret).expect("names, numbers and times are always JSON"))
    }

    /// Checks a resume token and reads it.
    ///
    /// # Errors
    /// Why it is worth nothing at this time.
    pub fn verify_resume(&self, token: &str, now: WallTime) -> Result<Resume, Refusal> {
        let why = |refusal: Refusal| match refusal {
            Refusal::TooLong(bytes) => refused(format!("it has {bytes} bytes, which none has")),
            Refusal::UnknownKey(_) | Refusal::BadSignature => refused("its signature is not this cluster's"),
            _ => refused("it is malformed"),
        };
        let (kind, times) = self.open::<Body>(token).map_err(why)?;
        if kind.as_deref() != Some(TYPE) || times.custom.aud != AUDIENCE {
            return Err(refused("it is a token of another kind"));
        }
        let expires_at = times.expiration.map(from_date).ok_or_else(|| refused("it never expires"))?;
        if now >= expires_at {
            return Err(refused("it has expired"));
        }
        let Body { room, sub, stream, .. } = times.custom;
        Ok(Resume { room, participant: sub, stream, expires_at })
    }
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::Resume(why.into())
}
