//! The keys of a cluster, each under a name that the header of a token tells: those that sign tickets, those that verify
//! them, and those of the cluster itself. Several are valid at once, so that one can be replaced: add the new one
//! everywhere, sign with it, and take the old one out when its last token has expired.
//!
//! | set | held by | made of |
//! |---|---|---|
//! | [`SigningKeys`] | who makes tickets | a private key in a file, or shared secrets |
//! | [`TicketKeys`] | every edge | public keys, which make nothing, or the same shared secrets |
//! | [`ClusterKeys`] | every edge | secrets that no maker of tickets has |
//!
//! Invariants: a set has a key, no two under one name; a key is for one algorithm; no `Debug` text or error shows a secret.

mod cluster;
mod jwk;
mod key;
mod signing;
mod verifying;

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::alg::Hs256Key;

pub use cluster::ClusterKeys;
pub use signing::{NewKey, SigningKeys};
pub use verifying::TicketKeys;

/// Shortest secret: HS256 needs a key at least as long as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// Longest secret. HMAC hashes what is longer than its 64-byte block, so more than a little is a mistake.
const MAX_SECRET_BYTES: usize = 128;

/// Keys in a set. A rotation takes two, several issuers a few more.
const MAX_KEYS: usize = 16;

/// Longest name of a key, in bytes.
const MAX_KEY_ID_BYTES: usize = 64;

/// What a key is, and so the one algorithm that it is good for (RFC 8725, section 3.1).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum KeyKind {
    /// A shared secret: who can verify can sign.
    Hs256,
    /// A key pair on the curve P-256, which every library for JWTs knows.
    Es256,
    /// A key pair on the curve Ed25519.
    EdDsa,
}

/// Keys that cannot be used. Never holds a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidKeys {
    /// There is no key.
    #[error("no key given; write one a line as name:secret, the secret in base64url")]
    Empty,
    /// There are too many.
    #[error("{0} keys given; at most {MAX_KEYS} are allowed")]
    TooMany(usize),
    /// A line is not `name:secret`.
    #[error("line {0} is not name:secret with the secret in base64url without padding")]
    Line(usize),
    /// A key's name is empty, too long, or not printable.
    #[error("key name {0:?} is not made of 1 to {MAX_KEY_ID_BYTES} characters out of a-z A-Z 0-9 . _ -")]
    Name(String),
    /// Two keys have one name.
    #[error("two keys are named {0:?}")]
    Twice(String),
    /// A secret is too short to be safe, or too long to be meant.
    #[error(
        "the secret of key {name:?} has {bytes} bytes; it needs {MIN_SECRET_BYTES} to {MAX_SECRET_BYTES}"
    )]
    Secret {
        /// Whose.
        name: String,
        /// How long it is.
        bytes: usize,
    },
    /// The text is no JSON Web Key Set (RFC 7517, section 5).
    #[error("this is no JSON Web Key Set: {0}")]
    NoJwks(String),
    /// The set of public keys is empty.
    #[error("the JSON Web Key Set holds no key; `stentorctl ticket keygen` makes one")]
    EmptyJwks,
    /// The text is no JSON Web Key with its private part.
    #[error("this is no private JSON Web Key: {0}")]
    NoPrivateKey(String),
    /// A key of a set has no name.
    #[error("key {0} of the JSON Web Key Set has no kid; tickets name their key by it")]
    Unnamed(usize),
    /// A key is where only public ones belong.
    #[error(
        "key {0:?} holds its private part; give public keys only, and keep this one where tickets are made"
    )]
    Private(String),
    /// A key is of a kind that nothing here uses.
    #[error("key {name:?} is of the kind {kind}; only EC P-256 (ES256) and OKP Ed25519 (EdDSA) are taken")]
    Kind {
        /// Whose.
        name: String,
        /// Which.
        kind: String,
    },
    /// A key says that it is for something else.
    #[error("key {name:?} says {says}; a key for tickets by {kind} is wanted")]
    Purpose {
        /// Whose.
        name: String,
        /// Its own words.
        says: String,
        /// What it could be for.
        kind: KeyKind,
    },
    /// A key's numbers make no key.
    #[error(
        "key {name:?} is no {kind} key: its numbers are missing, of a wrong length, or no point of the curve"
    )]
    Numbers {
        /// Whose.
        name: String,
        /// What it should be.
        kind: KeyKind,
    },
}

impl KeyKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Es256, Self::EdDsa, Self::Hs256];

    /// The name of its algorithm, as headers of tokens spell it (RFC 7518, section 3.1; RFC 8037, section 3.1).
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Hs256 => "HS256",
            Self::Es256 => "ES256",
            Self::EdDsa => "EdDSA",
        }
    }
}

impl fmt::Display for KeyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// Keys under their names, in their order; at least one.
#[derive(Clone)]
pub(crate) struct Named<K>(Vec<(String, K)>);

impl<K> Named<K> {
    /// A set of these, whose names and number are allowed; `None` if there is none.
    fn of(keys: Vec<(String, K)>) -> Result<Option<Self>, InvalidKeys> {
        for (i, (name, _)) in keys.iter().enumerate() {
            check_name(name)?;
            if keys[..i].iter().any(|(known, _)| known == name) {
                return Err(InvalidKeys::Twice(name.clone()));
            }
        }
        match keys.len() {
            0 => Ok(None),
            count if count > MAX_KEYS => Err(InvalidKeys::TooMany(count)),
            _ => Ok(Some(Self(keys))),
        }
    }

    pub(crate) fn names(&self) -> impl Iterator<Item = &str> {
        self.0.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&K> {
        self.0.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }

    /// The key that signs unless another is asked for.
    pub(crate) fn first(&self) -> (&str, &K) {
        let (name, key) = self.0.first().expect("a set of keys has one");
        (name, key)
    }

    /// The first key, or the one of that name.
    pub(crate) fn signer(&self, name: Option<&str>) -> Option<(&str, &K)> {
        let Some(name) = name else { return Some(self.first()) };
        self.0.iter().find(|(known, _)| known == name).map(|(name, key)| (name.as_str(), key))
    }
}

impl<K> fmt::Debug for Named<K> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_list().entries(self.names()).finish()
    }
}

/// The line of a key file for a shared secret; what a new one is written with. The caller brings the random bytes.
///
/// # Errors
/// The name or the length of the secret is not allowed.
pub fn key_line(name: &str, secret: &[u8]) -> Result<String, InvalidKeys> {
    check_name(name)?;
    check_secret(name, secret)?;
    Ok(format!("{name}:{}", Base64UrlUnpadded::encode_string(secret)))
}

/// Reads shared secrets: one `name:secret` a line with the secret in base64url without padding; blank lines and lines
/// that start with `#` are skipped.
fn secrets(text: &str) -> Result<Named<Hs256Key>, InvalidKeys> {
    let mut keys = Vec::new();
    for (i, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let malformed = || InvalidKeys::Line(i + 1);
        let (name, secret) = line.split_once(':').ok_or_else(malformed)?;
        let secret = Base64UrlUnpadded::decode_vec(secret.trim()).map_err(|_| malformed())?;
        let name = name.trim();
        check_name(name)?;
        check_secret(name, &secret)?;
        keys.push((name.to_owned(), Hs256Key::new(&secret)));
    }
    Named::of(keys)?.ok_or(InvalidKeys::Empty)
}

fn check_name(name: &str) -> Result<(), InvalidKeys> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_KEY_ID_BYTES || !name.chars().all(allowed) {
        return Err(InvalidKeys::Name(name.chars().take(MAX_KEY_ID_BYTES).collect()));
    }
    Ok(())
}

fn check_secret(name: &str, secret: &[u8]) -> Result<(), InvalidKeys> {
    if (MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len()) {
        return Ok(());
    }
    Err(InvalidKeys::Secret { name: name.to_owned(), bytes: secret.len() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_as_it_was_written() {
        let [a, b] =
            [("2026-a", [7; 32]), ("2026-b", [9; 32])].map(|(name, key)| key_line(name, &key).unwrap());
        let keys = secrets(&format!("# signing\n{a}\n\n  {b}  \n")).unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["2026-a", "2026-b"]);
        assert_eq!(keys.get("2026-b").unwrap().as_ref(), [9; 32]);
        assert_eq!(keys.signer(None).unwrap().0, "2026-a");
        assert_eq!(keys.signer(Some("2026-b")).unwrap().0, "2026-b");
        assert!(keys.signer(Some("2025")).is_none());
    }

    #[test]
    fn a_wrong_key_file_is_refused_by_line_or_name() {
        let good = key_line("a", &[1; 32]).unwrap();
        let refused = |text: String| secrets(&text).unwrap_err();
        assert_eq!(refused("# nothing\n".into()), InvalidKeys::Empty);
        assert_eq!(refused(format!("{good}\nnonsense")), InvalidKeys::Line(2));
        assert_eq!(refused("a:not base64!".into()), InvalidKeys::Line(1));
        assert_eq!(refused(format!("{good}\n{good}")), InvalidKeys::Twice("a".into()));
        assert_eq!(refused("a:c2hvcnQ".into()), InvalidKeys::Secret { name: "a".into(), bytes: 5 });
        assert_eq!(refused(good.replace("a:", "a b:")), InvalidKeys::Name("a b".into()));
        let many: Vec<_> = (0..17).map(|i| key_line(&format!("k{i}"), &[i; 32]).unwrap()).collect();
        assert_eq!(refused(many.join("\n")), InvalidKeys::TooMany(17));
    }

    #[test]
    fn debug_shows_names_and_no_secret() {
        let text = key_line("a", b"0123456789abcdef0123456789abcdef").unwrap();
        let told = [
            format!("{:?}", TicketKeys::secrets(&text).unwrap()),
            format!("{:?}", SigningKeys::parse(&text).unwrap()),
            format!("{:?}", ClusterKeys::parse(&text).unwrap()),
        ];
        assert_eq!(told, [r#"TicketKeys(["a"])"#, r#"SigningKeys(["a"])"#, r#"ClusterKeys(["a"])"#]);
    }
}
