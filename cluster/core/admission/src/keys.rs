//! The keys that sign tickets. Several are valid at once, so that one can be replaced: add the new one everywhere, sign
//! with it, and take the old one out when its last ticket has expired.

use std::fmt;

use base64ct::{Base64UrlUnpadded, Encoding};
use jwt_compact::alg::Hs256Key;

/// Shortest secret: HS256 needs a key at least as long as its hash (RFC 7518, section 3.2).
pub const MIN_SECRET_BYTES: usize = 32;

/// Longest secret. HMAC hashes what is longer than its 64-byte block, so more than a little is a mistake.
const MAX_SECRET_BYTES: usize = 128;

/// Keys in a set. A rotation takes two, several issuers a few more.
const MAX_KEYS: usize = 16;

/// Longest name of a key, in bytes.
const MAX_KEY_ID_BYTES: usize = 64;

/// Named keys, all of which verify; the first one signs unless another is asked for.
#[derive(Clone)]
pub struct KeySet {
    keys: Vec<(String, Hs256Key)>,
}

/// A key set that cannot be used. Never holds a secret.
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
}

impl KeySet {
    /// A set of named secrets of 32 to 128 random bytes each.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn new<N: Into<String>, S: AsRef<[u8]>>(
        keys: impl IntoIterator<Item = (N, S)>,
    ) -> Result<Self, InvalidKeys> {
        let mut set = Self { keys: Vec::new() };
        for (name, secret) in keys {
            let (name, secret) = (name.into(), secret.as_ref());
            check(&name, secret)?;
            if set.get(&name).is_some() {
                return Err(InvalidKeys::Twice(name));
            }
            set.keys.push((name, Hs256Key::new(secret)));
        }
        match set.keys.len() {
            0 => Err(InvalidKeys::Empty),
            count if count > MAX_KEYS => Err(InvalidKeys::TooMany(count)),
            _ => Ok(set),
        }
    }

    /// Reads a key file: one `name:secret` a line with the secret in base64url without padding; blank lines and lines
    /// that start with `#` are skipped.
    ///
    /// # Errors
    /// What is wrong with which line.
    pub fn parse(text: &str) -> Result<Self, InvalidKeys> {
        let mut keys = Vec::new();
        for (i, line) in text.lines().enumerate() {
            let line = line.trim();
            if line.is_empty() || line.starts_with('#') {
                continue;
            }
            let malformed = || InvalidKeys::Line(i + 1);
            let (name, secret) = line.split_once(':').ok_or_else(malformed)?;
            let secret = Base64UrlUnpadded::decode_vec(secret.trim()).map_err(|_| malformed())?;
            keys.push((name.trim(), secret));
        }
        Self::new(keys)
    }

    /// The names of the keys; the first one signs.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.keys.iter().map(|(name, _)| name.as_str())
    }

    pub(crate) fn get(&self, name: &str) -> Option<&Hs256Key> {
        self.keys.iter().find(|(known, _)| known == name).map(|(_, key)| key)
    }

    /// The first key, or the one of that name.
    pub(crate) fn signer(&self, name: Option<&str>) -> Option<&(String, Hs256Key)> {
        self.keys.iter().find(|(known, _)| name.is_none_or(|name| name == known))
    }
}

impl fmt::Debug for KeySet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("KeySet").field(&self.names().collect::<Vec<_>>()).finish()
    }
}

/// The line of a key file for a key; what a new key is written with. The caller brings the random secret.
///
/// # Errors
/// The name or the length of the secret is not allowed.
pub fn key_line(name: &str, secret: &[u8]) -> Result<String, InvalidKeys> {
    check(name, secret)?;
    Ok(format!("{name}:{}", Base64UrlUnpadded::encode_string(secret)))
}

fn check(name: &str, secret: &[u8]) -> Result<(), InvalidKeys> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_KEY_ID_BYTES || !name.chars().all(allowed) {
        return Err(InvalidKeys::Name(name.chars().take(MAX_KEY_ID_BYTES).collect()));
    }
    if !(MIN_SECRET_BYTES..=MAX_SECRET_BYTES).contains(&secret.len()) {
        return Err(InvalidKeys::Secret { name: name.to_owned(), bytes: secret.len() });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_file_reads_back_as_it_was_written() {
        let [a, b] =
            [("2026-a", [7; 32]), ("2026-b", [9; 32])].map(|(name, key)| key_line(name, &key).unwrap());
        let keys = KeySet::parse(&format!("# signing\n{a}\n\n  {b}  \n")).unwrap();
        assert_eq!(keys.names().collect::<Vec<_>>(), ["2026-a", "2026-b"]);
        assert_eq!(keys.get("2026-b").unwrap().as_ref(), [9; 32]);
        assert_eq!(keys.signer(None).unwrap().0, "2026-a");
        assert_eq!(keys.signer(Some("2026-b")).unwrap().0, "2026-b");
        assert!(keys.signer(Some("2025")).is_none());
    }

    #[test]
    fn a_wrong_key_file_is_refused_by_line_or_name() {
        let good = key_line("a", &[1; 32]).unwrap();
        let refused = |text: String| KeySet::parse(&text).unwrap_err();
        assert_eq!(refused("# nothing\n".into()), InvalidKeys::Empty);
        assert_eq!(refused(format!("{good}\nnonsense")), InvalidKeys::Line(2));
        assert_eq!(refused("a:not base64!".into()), InvalidKeys::Line(1));
        assert_eq!(refused(format!("{good}\n{good}")), InvalidKeys::Twice("a".into()));
        assert_eq!(refused("a:c2hvcnQ".into()), InvalidKeys::Secret { name: "a".into(), bytes: 5 });
        assert_eq!(refused(good.replace("a:", "a b:")), InvalidKeys::Name("a b".into()));
        let many = (0..17).map(|i| (format!("k{i}"), [i; 32]));
        assert_eq!(KeySet::new(many).unwrap_err(), InvalidKeys::TooMany(17));
    }

    #[test]
    fn debug_shows_names_and_no_secret() {
        let keys = KeySet::new([("a", *b"0123456789abcdef0123456789abcdef")]).unwrap();
        assert_eq!(format!("{keys:?}"), r#"KeySet(["a"])"#);
    }
}
