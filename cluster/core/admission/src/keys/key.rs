//! One key, bound to its algorithm: what the header of a token says of it changes nothing.

use jwt_compact::{
    Algorithm, AlgorithmExt, Claims as Times, Header, Token, UntrustedToken, ValidationError,
    alg::{Ed25519, Es256, Hs256, Hs256Key, SigningKey as _},
};
use serde::{Serialize, de::DeserializeOwned};

use super::KeyKind;

/// Signs tickets.
#[derive(Clone)]
pub(crate) enum SigningKey {
    Hs256(Hs256Key),
    Es256(<Es256 as Algorithm>::SigningKey),
    EdDsa(<Ed25519 as Algorithm>::SigningKey),
}

/// Verifies tickets.
#[derive(Clone)]
pub(crate) enum VerifyingKey {
    Hs256(Hs256Key),
    Es256(<Es256 as Algorithm>::VerifyingKey),
    EdDsa(<Ed25519 as Algorithm>::VerifyingKey),
}

impl SigningKey {
    /// What verifies the tickets that it signs.
    pub(super) fn verifying(&self) -> VerifyingKey {
        match self {
            Self::Hs256(key) => VerifyingKey::Hs256(key.clone()),
            Self::Es256(key) => VerifyingKey::Es256(key.to_verifying_key()),
            Self::EdDsa(key) => VerifyingKey::EdDsa(key.to_verifying_key()),
        }
    }

    pub(crate) fn token<B: Serialize>(&self, header: &Header, claims: &Times<B>) -> String {
        let token = match self {
            Self::Hs256(key) => Hs256.token(header, claims, key),
            Self::Es256(key) => Es256.token(header, claims, key),
            Self::EdDsa(key) => Ed25519.token(header, claims, key),
        };
        token.expect("names, texts and times are always JSON")
    }
}

impl VerifyingKey {
    pub(crate) const fn kind(&self) -> KeyKind {
        match self {
            Self::Hs256(_) => KeyKind::Hs256,
            Self::Es256(_) => KeyKind::Es256,
            Self::EdDsa(_) => KeyKind::EdDsa,
        }
    }

    /// Checks the signature by the algorithm that the key is for, whatever the header says.
    pub(crate) fn validate<B: DeserializeOwned, H: Clone>(
        &self,
        token: &UntrustedToken<'_, H>,
    ) -> Result<Token<B, H>, ValidationError> {
        match self {
            Self::Hs256(key) => Hs256.validator::<B>(key).validate(token),
            Self::Es256(key) => Es256.validator::<B>(key).validate(token),
            Self::EdDsa(key) => Ed25519.validator::<B>(key).validate(token),
        }
    }
}
