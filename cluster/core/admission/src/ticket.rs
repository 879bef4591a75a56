//! Tickets: JSON Web Tokens (RFC 7519) signed by a key that the header names.
//!
//! What a ticket claims is believed only after its signature has been found right, and the algorithm is the key's, not the
//! header's to choose (RFC 8725, section 3.1).

use chrono::{DateTime, Utc};
use jwt_compact::{Claims as Times, Header, ValidationError};
use serde::{Deserialize, Deserializer, Serialize};
use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

use crate::{
    Claims, InvalidClaims, Refusal, SigningKeys, TicketKeys,
    refusal::MAX_TOKEN_BYTES,
    token::{RESUME_TYPE, key_id, malformed, parse},
};

/// Longest part of a stranger's header that is told back.
const MAX_ECHO_CHARS: usize = 32;

/// Why a ticket could not be signed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SignError {
    /// The key asked for is not in the set.
    #[error("key {0:?} is not in the key set")]
    UnknownKey(String),
    /// The claims are not allowed.
    #[error(transparent)]
    Claims(#[from] InvalidClaims),
    /// A time is beyond the calendar.
    #[error("the expiry or start of the ticket is beyond the calendar; give an earlier one")]
    Time,
}

/// The claims beside the times, as they stand in a token.
#[derive(Serialize, Deserialize)]
struct Body {
    room: RoomId,
    sub: ParticipantId,
    name: String,
    #[serde(deserialize_with = "role")]
    role: Role,
}

/// A role that only a newer build knows may do what everyone may: hear.
fn role<'de, D: Deserializer<'de>>(from: D) -> Result<Role, D::Error> {
    let name = String::deserialize(from)?;
    Ok(name.parse().unwrap_or(Role::Listener))
}

impl SigningKeys {
    /// Signs a ticket with the first key, or the one named. Times are cut to whole seconds.
    ///
    /// # Errors
    /// There is no such key, or no ticket can have these claims.
    pub fn sign(&self, claims: &Claims, key: Option<&str>) -> Result<String, SignError> {
        claims.validate()?;
        let unknown = || SignError::UnknownKey(key.unwrap_or_default().to_owned());
        let (name, key) = self.named().signer(key).ok_or_else(unknown)?;
        let mut token = Times::new(Body {
            room: claims.room.clone(),
            sub: claims.participant.clone(),
            name: claims.name.clone(),
            role: claims.role,
        });
        token.expiration = Some(to_date(claims.expires_at)?);
        token.not_before = claims.not_before.map(to_date).transpose()?;
        token.issued_at = claims.issued_at.map(to_date).transpose()?;
        let header = Header::empty().with_token_type("JWT").with_key_id(name);
        Ok(key.token(&header, &token))
    }
}

impl TicketKeys {
    /// Checks a ticket and reads it.
    ///
    /// # Errors
    /// Why it is worth nothing at this time.
    pub fn verify(&self, token: &str, now: WallTime) -> Result<Claims, Refusal> {
        let token = parse(token, MAX_TOKEN_BYTES)?;
        let name = key_id(&token)?;
        let key = self.get(name).ok_or_else(|| Refusal::UnknownKey(echo(name)))?;
        if token.algorithm() != key.kind().as_str() {
            let says = echo(token.algorithm());
            return Err(Refusal::Algorithm { says, key: name.to_owned(), kind: key.kind() });
        }
        let (header, times) = key.validate(&token).map_err(not_ours)?.into_parts();
        if header.token_type.as_deref() == Some(RESUME_TYPE) {
            return Err(malformed("it is a resume token"));
        }
        let claims = read(times)?;
        claims.check_time(now)?;
        Ok(claims)
    }
}

/// The token in an `Authorization` header, if its scheme is `Bearer` (RFC 6750, section 2.1).
#[must_use]
pub fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.trim().split_once(' ')?;
    let token = token.trim_start();
    (scheme.eq_ignore_ascii_case("bearer") && !token.is_empty()).then_some(token)
}

fn read(times: Times<Body>) -> Result<Claims, Refusal> {
    let expires_at = times.expiration.map(from_date).ok_or_else(|| malformed("it never expires"))?;
    let Body { room, sub, name, role } = times.custom;
    let claims = Claims {
        room,
        participant: sub,
        name,
        role,
        expires_at,
        not_before: times.not_before.map(from_date),
        issued_at: times.issued_at.map(from_date),
    };
    claims.validate().map_err(malformed)?;
    Ok(claims)
}

fn not_ours(error: ValidationError) -> Refusal {
    match error {
        // Looked at before the signature, and told all the same: who makes tickets wants to know, and a stranger learns
        // nothing but what it wrote itself.
        ValidationError::MalformedClaims(error) => malformed(error),
        _ => Refusal::BadSignature,
    }
}

fn echo(text: &str) -> String {
    text.chars().take(MAX_ECHO_CHARS).collect()
}

pub(crate) fn to_date(time: WallTime) -> Result<DateTime<Utc>, SignError> {
    let seconds = i64::try_from(time.as_micros() / 1_000_000).ok();
    seconds.and_then(|seconds| DateTime::from_timestamp(seconds, 0)).ok_or(SignError::Time)
}

/// Times before 1970 count as 1970.
pub(crate) fn from_date(date: DateTime<Utc>) -> WallTime {
    WallTime::from_millis(u64::try_from(date.timestamp()).unwrap_or(0).saturating_mul(1000))
}
