//! The form of a token, whatever it is for: three parts, a header that names a key and asks for nothing that is not
//! understood. What it says, and whether its signature is right, is another matter.

use jwt_compact::UntrustedToken;
use serde::{Deserialize, de::IgnoredAny};

use crate::Refusal;

/// The type in the header of a resume token.
pub(crate) const RESUME_TYPE: &str = "stentor-resume+jwt";

/// What the header may hold beside the well-known fields.
#[derive(Clone, Deserialize)]
pub(crate) struct Extensions {
    /// Extensions that must be understood (RFC 7515, section 4.1.11). We understand none.
    crit: Option<IgnoredAny>,
}

/// Checks a token's form; its signature is another matter.
pub(crate) fn parse(token: &str, longest: usize) -> Result<UntrustedToken<'_, Extensions>, Refusal> {
    if token.len() > longest {
        return Err(Refusal::TooLong(token.len()));
    }
    let token: UntrustedToken<'_, Extensions> =
        token.try_into().map_err(|_| malformed("it is not three base64url parts with a JSON header"))?;
    if token.header().other_fields.crit.is_some() {
        return Err(malformed("its header has critical extensions"));
    }
    Ok(token)
}

/// The name of the key that the token says it is signed with.
pub(crate) fn key_id<'a>(token: &'a UntrustedToken<'_, Extensions>) -> Result<&'a str, Refusal> {
    token.header().key_id.as_deref().ok_or(Refusal::NoKey)
}

pub(crate) fn malformed(why: impl ToString) -> Refusal {
    Refusal::Malformed(why.to_string())
}
