//! What tickets are signed with, and how a new key is written down.

use std::fmt;

use jwt_compact::{
    Algorithm,
    alg::{Ed25519, Es256},
    jwk::JsonWebKey,
};

use super::{InvalidKeys, KeyKind, Named, TicketKeys, check_name, jwk, key::SigningKey, key_line, secrets};

/// Named keys that sign tickets; the first one does unless another is asked for.
#[derive(Debug, Clone)]
pub struct SigningKeys(Named<SigningKey>);

/// A new key as it is written down.
pub struct NewKey {
    /// What [`SigningKeys::parse`] reads. Keep it where tickets are made.
    pub private: String,
    /// What [`TicketKeys::jwks`] reads, for every edge; a shared secret has no such part.
    pub jwks: Option<String>,
}

impl fmt::Debug for NewKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewKey").field("jwks", &self.jwks).finish_non_exhaustive()
    }
}

impl NewKey {
    /// A key out of random bytes that the caller brings.
    ///
    /// # Errors
    /// The name is not allowed; or no key of that kind is made of these bytes, which befalls one draw in four thousand
    /// million for ES256: draw others.
    pub fn new(name: &str, kind: KeyKind, random: &[u8; 32]) -> Result<Self, InvalidKeys> {
        check_name(name)?;
        let numbers = || InvalidKeys::Numbers { name: name.to_owned(), kind };
        match kind {
            KeyKind::Hs256 => Ok(Self { private: key_line(name, random)? + "\n", jwks: None }),
            KeyKind::Es256 => {
                let key = <Es256 as Algorithm>::SigningKey::from_slice(random).map_err(|_| numbers())?;
                Ok(Self::written(name, kind, &JsonWebKey::from(&key)))
            }
            KeyKind::EdDsa => {
                let key = <Ed25519 as Algorithm>::SigningKey::from_bytes(random);
                Ok(Self::written(name, kind, &JsonWebKey::from(&key)))
            }
        }
    }

    fn written(name: &str, kind: KeyKind, key: &JsonWebKey<'_>) -> Self {
        let private = jwk::write(name, kind, key).to_string() + "\n";
        let jwks = jwk::write_set(name, kind, &key.to_verifying_key());
        Self { private, jwks: Some(jwks) }
    }
}

impl SigningKeys {
    /// Reads a private JSON Web Key for ES256 or EdDSA with a `kid`, or shared secrets, one `name:secret` a line.
    ///
    /// # Errors
    /// What is wrong with which key or line.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        if text.trim_start().starts_with('{') {
            return Ok(Self(Named(vec![jwk::read_private(text)?])));
        }
        let Named(keys) = secrets(text)?;
        Ok(Self(Named(keys.into_iter().map(|(name, key)| (name, SigningKey::Hs256(key))).collect())))
    }

    /// The names of the keys; the first one signs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    /// What verifies the tickets that these sign.
    #[must_use]
    pub fn verifying(&self) -> TicketKeys {
        let Named(keys) = &self.0;
        TicketKeys::of(Named(keys.iter().map(|(name, key)| (name.clone(), key.verifying())).collect()))
    }

    pub(crate) const fn named(&self) -> &Named<SigningKey> {
        &self.0
    }
}
