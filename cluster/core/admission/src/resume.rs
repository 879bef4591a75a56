//! Resume tokens: what lets a speaker go on over another connection, at any edge, while the room's owner is away.
//!
//! A resume token encloses the ticket that it was handed out for and is sealed under a key of the cluster. The ticket is
//! verified anew when the token is used, so the token is worth what the ticket is and for as long, and whoever holds a key
//! of the cluster, as every edge does, makes nobody a speaker with it. It is never taken for a ticket, nor a ticket for
//! it: its header says so (RFC 8725, section 3.11), and so does its audience. It is shown beside a ticket and opens
//! nothing by itself.

use jwt_compact::{AlgorithmExt, Claims as Times, Header, ValidationError, alg::Hs256};
use serde::{Deserialize, Serialize};
use stentor_pace::WallTime;

use crate::{
    Claims, ClusterKeys, Refusal, TicketKeys,
    token::{RESUME_TYPE, key_id, parse},
};

/// Longest resume token looked at. Around the longest ticket, under a key with the longest name, one has some 3,100 bytes.
pub const MAX_RESUME_BYTES: usize = 4096;

/// The audience: the one place where a resume token is taken.
const AUDIENCE: &str = "stentor/speak";

/// Where a speaker left off.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Resume {
    /// What the enclosed ticket says: the room spoken into, and who spoke.
    pub ticket: Claims,
    /// The number of its packets' stream; what follows has a higher one.
    pub stream: u64,
}

/// The claims as they stand in a token.
#[derive(Serialize, Deserialize)]
struct Body {
    aud: String,
    ticket: String,
    stream: u64,
}

impl Resume {
    /// Checks that it continues what the holder of this ticket did.
    ///
    /// # Errors
    /// It is for another room, or is someone else's.
    pub fn check(&self, ticket: &Claims) -> Result<(), Refusal> {
        if self.ticket.room != ticket.room {
            return Err(refused("it is for another room"));
        }
        if self.ticket.participant != ticket.participant {
            return Err(refused("it is another participant's"));
        }
        Ok(())
    }
}

impl ClusterKeys {
    /// Seals a resume token around a ticket, as it was shown, with the first key.
    #[must_use]
    pub fn seal_resume(&self, ticket: &str, stream: u64) -> String {
        let (name, key) = self.named().first();
        let body = Body { aud: AUDIENCE.to_owned(), ticket: ticket.to_owned(), stream };
        let header = Header::empty().with_token_type(RESUME_TYPE).with_key_id(name);
        Hs256.token(&header, &Times::new(body), key).expect("texts and numbers are always JSON")
    }

    /// Opens a resume token, and verifies the ticket in it anew.
    ///
    /// # Errors
    /// Why it is worth nothing at this time.
    pub fn open_resume(&self, token: &str, tickets: &TicketKeys, now: WallTime) -> Result<Resume, Refusal> {
        let token = parse(token, MAX_RESUME_BYTES).map_err(|refusal| match refusal {
            Refusal::TooLong(bytes) => refused(format!("it has {bytes} bytes, which none has")),
            _ => refused("it is malformed"),
        })?;
        if token.header().token_type.as_deref() != Some(RESUME_TYPE) {
            return Err(refused("it is a token of another kind"));
        }
        let key = key_id(&token).ok().and_then(|name| self.named().get(name));
        let key = key.ok_or_else(|| refused("its seal is not this cluster's"))?;
        let opened = Hs256.validator::<Body>(key).validate(&token).map_err(|error| match error {
            ValidationError::AlgorithmMismatch { .. } | ValidationError::MalformedClaims(_) => {
                refused("it is malformed")
            }
            _ => refused("its seal is not this cluster's"),
        });
        let (_, Times { custom: body, .. }) = opened?.into_parts();
        if body.aud != AUDIENCE {
            return Err(refused("it is a token of another kind"));
        }
        let ticket = tickets.verify(&body.ticket, now).map_err(|why| match why {
            Refusal::Expired { .. } => refused("its ticket has expired"),
            Refusal::NotYetValid { .. } => refused("its ticket is not valid yet"),
            Refusal::TooLong(_) | Refusal::Malformed(_) => refused("its ticket is malformed"),
            _ => refused("its ticket is signed with no key that is known here"),
        })?;
        Ok(Resume { ticket, stream: body.stream })
    }
}

fn refused(why: impl Into<String>) -> Refusal {
    Refusal::Resume(why.into())
}
