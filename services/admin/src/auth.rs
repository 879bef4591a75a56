//! The admin token that a call carries. Knows no call; never logs a token.

use stentor_admission::{AdminTokens, bearer};
use stentor_ids::{Code, Fault};
use tonic::metadata::MetadataMap;

/// Lets a call in that carries one of the tokens.
///
/// # Errors
/// `Unauthenticated`: it carries none, or another.
pub(crate) fn check(tokens: &AdminTokens, metadata: &MetadataMap) -> Result<(), Fault> {
    let Some(value) = metadata.get("authorization") else {
        let detail = "no admin token came with the call; send it as metadata, `authorization: Bearer TOKEN`";
        return Err(Fault::new(Code::Unauthenticated, detail));
    };
    let token = value.to_str().ok().and_then(bearer).ok_or_else(|| {
        Fault::new(Code::Unauthenticated, "the authorization is not of the form `Bearer TOKEN`")
    })?;
    Ok(tokens.verify(token)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_call_gets_in_with_one_of_the_tokens_and_no_refusal_repeats_what_was_shown() {
        let token = "0123456789abcdef0123456789abcdef";
        let tokens = AdminTokens::new([token]).unwrap();
        let enter = |authorization: Option<&str>| {
            let mut metadata = MetadataMap::new();
            if let Some(value) = authorization {
                metadata.insert("authorization", value.parse().unwrap());
            }
            check(&tokens, &metadata)
        };
        assert_eq!(enter(Some(&format!("Bearer {token}"))), Ok(()));
        for shown in [None, Some("Bearer"), Some("Bearer sesame"), Some("Basic sesame"), Some(token)] {
            let fault = enter(shown).unwrap_err();
            assert_eq!(fault.code, Code::Unauthenticated, "{shown:?}");
            assert!(!fault.detail.contains("sesame") && !fault.detail.contains(token), "{fault}");
        }
    }
}
