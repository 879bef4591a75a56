//! The keys of the cluster itself. An edge seals with them what it hands out and will have to believe later.

use jwt_compact::alg::Hs256Key;

use super::{InvalidKeys, Named, secrets};

/// Named secrets that every edge holds and nobody who makes tickets: the first one seals, all of them open. No ticket
/// verifies with them, so that an edge makes nobody a speaker.
#[derive(Debug, Clone)]
pub struct ClusterKeys(Named<Hs256Key>);

impl ClusterKeys {
    /// Reads them: one `name:secret` a line, the secret of 32 to 128 random bytes in base64url without padding; blank
    /// lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        secrets(text).map(Self)
    }

    /// The names of the keys; the first one seals.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.0.names()
    }

    pub(crate) const fn named(&self) -> &Named<Hs256Key> {
        &self.0
    }
}
