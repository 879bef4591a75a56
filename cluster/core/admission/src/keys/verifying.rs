//! What tickets are verified with.

use super::{InvalidKeys, Named, jwk, key::VerifyingKey, secrets};

/// Named keys, all of which verify tickets: public keys, which can do nothing else, and shared secrets.
#[derive(Debug, Clone)]
pub struct TicketKeys(Named<VerifyingKey>);

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
