//! What tickets are verified with.

use jwt_compact::{
    Algorithm, AlgorithmExt, Token, UntrustedToken, ValidationError,
    alg::{Ed25519, Es256, Hs256, Hs256Key},
};
use serde::de::DeserializeOwned;

use super::{InvalidKeys, KeyKind, Named, jwk, secrets};

/// Named keys, all of which verify tickets: public keys, which can do nothing else, and shared secrets.
#[derive(Debug, Clone)]
pub struct TicketKeys(Named<VerifyingKey>);

/// One of them, bound to its algorithm.
#[derive(Clone)]
pub(crate) enum VerifyingKey {
    Hs256(Hs256Key),
    Es256(<Es256 as Algorithm>::VerifyingKey),
    EdDsa(<Ed25519 as Algorithm>::VerifyingKey),
}

impl TicketKeys {
    /// Reads shared secrets: one `name:secret` a line, the secret of 32 to 128 random bytes in base64url without padding;
    /// blank lines and lines that start with `#` are skipped. Who holds them can make tickets.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn secrets(text: &str) -> Result<Self, InvalidKeys> {
        let Named(keys) = secrets(text)?;
        Ok(Self(Named(keys.into_iter().map(|(name, key)| (name, VerifyingKey::Hs256(key))).collect())))
    }

    /// Reads public keys: a JSON Web Key Set (RFC 7517, section 5) whose keys are for ES256 or EdDSA, each with a `kid`.
    /// Anything else in it is refused rather than skipped: it was put there for something, and would not do it.
    ///
    /// # Errors
    /// What is wrong with which key.
    pub fn jwks(text: &str) -> Result<Self, InvalidKeys> {
        Named::of(jwk::read_set(text)?)?.map(Self).ok_or(InvalidKeys::EmptyJwks)
    }

    /// These and others, as while one kind takes the place of another.
    ///
    /// # Errors
    /// A name stands in both, or there are too many.
    pub fn and(self, others: Self) -> Result<Self, InvalidKeys> {
        let Self(Named(mut keys)) = self;
        keys.extend(others.0.0);
        Named::of(keys)?.map(Self).ok_or(InvalidKeys::Empty)
    }

    /// The names of the keys.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub(crate) fn get(&self, name: &str) -> Option<&VerifyingKey> {
        self.0.get(name)
    }

    pub(super) const fn of(keys: Named<VerifyingKey>) -> Self {
        Self(keys)
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
