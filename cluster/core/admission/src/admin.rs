//! The tokens that let operators in. They are long random texts, compared in a time that does not depend on where they
//! differ.

use std::fmt;

use subtle::{Choice, ConstantTimeEq};

use crate::Refusal;

/// Shortest token, in characters: 32 random ones out of base64url are 192 bits.
const MIN_TOKEN_CHARS: usize = 32;

/// Longest token, in characters. It stands in a header of every call.
const MAX_TOKEN_CHARS: usize = 256;

/// Tokens in a set: an operator or an automation each, and some overlap when they change.
const MAX_TOKENS: usize = 16;

/// The tokens that are valid, all alike.
#[derive(Clone)]
pub struct AdminTokens {
    tokens: Vec<String>,
}

/// Tokens that cannot be used. Never holds one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdminTokens {
    /// There is no token.
    #[error("no admin token given; write one a line, {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} characters")]
    Empty,
    /// There are too many.
    #[error("{0} admin tokens given; at most {MAX_TOKENS} are allowed")]
    TooMany(usize),
    /// One is too short to be safe, or too long.
    #[error("admin token {nth} has {chars} characters; it needs {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS}")]
    Length {
        /// Which, counted from 1.
        nth: usize,
        /// How long it is.
        chars: usize,
    },
    /// One holds what a header cannot.
    #[error("admin token {0} holds characters other than visible ASCII")]
    Characters(usize),
}

impl AdminTokens {
    /// A set of tokens of 32 to 256 visible ASCII characters each.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn new<T: Into<String>>(tokens: impl IntoIterator<Item = T>) -> Result<Self, InvalidAdminTokens> {
        let tokens: Vec<String> = tokens.into_iter().map(Into::into).collect();
        if tokens.is_empty() {
            return Err(InvalidAdminTokens::Empty);
        }
        if tokens.len() > MAX_TOKENS {
            return Err(InvalidAdminTokens::TooMany(tokens.len()));
        }
        for (token, nth) in tokens.iter().zip(1..) {
            if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
                return Err(InvalidAdminTokens::Characters(nth));
            }
            if !(MIN_TOKEN_CHARS..=MAX_TOKEN_CHARS).contains(&token.len()) {
                return Err(InvalidAdminTokens::Length { nth, chars: token.len() });
            }
        }
        Ok(Self { tokens })
    }

    /// Reads a token file: one a line; blank lines and lines that start with `#` are skipped.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminTokens> {
        Self::new(text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#')))
    }

    /// Checks a token against all of them, whichever matches.
    ///
    /// # Errors
    /// It is none of them.
    pub fn verify(&self, token: &str) -> Result<(), Refusal> {
        let matches = |choice: Choice, known: &String| choice | known.as_bytes().ct_eq(token.as_bytes());
        let known = self.tokens.iter().fold(Choice::from(0), matches);
        if bool::from(known) { Ok(()) } else { Err(Refusal::AdminToken) }
    }
}

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "AdminTokens({})", self.tokens.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba9876543210fedcba9876543210+";

    #[test]
    fn each_token_of_the_set_is_taken_and_no_other() {
        let tokens = AdminTokens::parse(&format!("# ops\n{A}\n\n {B} \n")).unwrap();
        assert_eq!((tokens.verify(A), tokens.verify(B)), (Ok(()), Ok(())));
        for wrong in ["", &A[1..], &format!("{A}0"), &A.to_uppercase(), "# ops"] {
            assert_eq!(tokens.verify(wrong), Err(Refusal::AdminToken));
        }
    }

    #[test]
    fn tokens_that_are_easily_guessed_are_refused() {
        let refused = |text: &str| AdminTokens::parse(text).unwrap_err();
        assert_eq!(refused(""), InvalidAdminTokens::Empty);
        assert_eq!(refused(&format!("{A}\nsecret")), InvalidAdminTokens::Length { nth: 2, chars: 6 });
        assert_eq!(refused(&"x".repeat(257)), InvalidAdminTokens::Length { nth: 1, chars: 257 });
        assert_eq!(refused(&A.replace('a', " ")), InvalidAdminTokens::Characters(1));
        assert_eq!(refused(&format!("{A}\n").repeat(17)), InvalidAdminTokens::TooMany(17));
    }

    #[test]
    fn debug_shows_no_token() {
        assert_eq!(format!("{:?}", AdminTokens::new([A]).unwrap()), "AdminTokens(1)");
    }
}
