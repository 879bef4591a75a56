//! The tokens that let operators in, each under the name of who holds it. They are long random texts, compared in a time
//! that does not depend on where they differ.

use std::{fmt, sync::Arc};

use subtle::{Choice, ConditionallySelectable, ConstantTimeEq};

use crate::Refusal;

/// Shortest token, in characters: 32 random ones out of base64url are 192 bits.
const MIN_TOKEN_CHARS: usize = 32;

/// Longest token, in characters. It stands in a header of every call.
const MAX_TOKEN_CHARS: usize = 256;

/// Tokens in a set: an operator or an automation each, and some overlap when they change. All are compared at each call.
const MAX_TOKENS: usize = 64;

/// Longest name of an operator, in characters. It stands in log lines and spans.
const MAX_NAME_CHARS: usize = 64;

/// Who may do everything: the name beside a token. Only a token that was checked gives one. Clones share it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Operator(Arc<str>);

/// The tokens that are valid, and whose they are.
#[derive(Clone)]
pub struct AdminTokens {
    tokens: Vec<(Operator, String)>,
}

/// Tokens that cannot be used. Never holds one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidAdminTokens {
    /// There is no token.
    #[error(
        "no admin token given; write name:token one a line, the token of {MIN_TOKEN_CHARS} to {MAX_TOKEN_CHARS} characters"
    )]
    Empty,
    /// There are too many.
    #[error("{0} admin tokens given; at most {MAX_TOKENS} are allowed")]
    TooMany(usize),
    /// One stands there without a name.
    #[error(
        "admin token {0} has no name; write name:token, so that what its holder does is told by that name"
    )]
    Unnamed(usize),
    /// A name is empty, too long, or holds what names do not.
    #[error(
        "the name of admin token {0} is not made of 1 to {MAX_NAME_CHARS} characters out of a-z A-Z 0-9 . _ -"
    )]
    Name(usize),
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
    /// Two operators hold one token, so that nobody could say who it was.
    #[error("admin token {0} is another one's too; give each operator a token of its own")]
    Shared(usize),
}

impl Operator {
    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Operator {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl AdminTokens {
    /// Reads a token file: one `name:token` a line, the token of 32 to 256 visible ASCII characters; blank lines and lines
    /// that start with `#` are skipped. A name may stand there with several tokens, while one takes the other's place.
    ///
    /// # Errors
    /// What is wrong with which of them.
    pub fn parse(text: &str) -> Result<Self, InvalidAdminTokens> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
        let tokens = lines.zip(1..).map(|(line, nth)| named(line, nth)).collect::<Result<Vec<_>, _>>()?;
        if tokens.is_empty() {
            return Err(InvalidAdminTokens::Empty);
        }
        if tokens.len() > MAX_TOKENS {
            return Err(InvalidAdminTokens::TooMany(tokens.len()));
        }
        for (i, (_, token)) in tokens.iter().enumerate() {
            if tokens[..i].iter().any(|(_, known)| known == token) {
                return Err(InvalidAdminTokens::Shared(i + 1));
            }
        }
        Ok(Self { tokens })
    }

    /// Checks a token against all of them, whichever matches, and says whose it is.
    ///
    /// # Errors
    /// It is none of them.
    pub fn verify(&self, token: &str) -> Result<Operator, Refusal> {
        let (mut known, mut whose) = (Choice::from(0), 0_u64);
        for ((_, one), nth) in self.tokens.iter().zip(0_u64..) {
            let same = one.as_bytes().ct_eq(token.as_bytes());
            whose.conditional_assign(&nth, same);
            known |= same;
        }
        let whose = usize::try_from(whose).ok().filter(|_| bool::from(known));
        let holder = whose.and_then(|nth| self.tokens.get(nth)).map(|(operator, _)| operator.clone());
        holder.ok_or(Refusal::AdminToken)
    }
}

impl fmt::Debug for AdminTokens {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names: Vec<&str> = self.tokens.iter().map(|(operator, _)| operator.as_str()).collect();
        f.debug_tuple("AdminTokens").field(&names).finish()
    }
}

fn named(line: &str, nth: usize) -> Result<(Operator, String), InvalidAdminTokens> {
    let (name, token) = line.split_once(':').ok_or(InvalidAdminTokens::Unnamed(nth))?;
    let (name, token) = (name.trim(), token.trim());
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    if name.is_empty() || name.len() > MAX_NAME_CHARS || !name.chars().all(allowed) {
        return Err(InvalidAdminTokens::Name(nth));
    }
    if !token.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(InvalidAdminTokens::Characters(nth));
    }
    if !(MIN_TOKEN_CHARS..=MAX_TOKEN_CHARS).contains(&token.len()) {
        return Err(InvalidAdminTokens::Length { nth, chars: token.len() });
    }
    Ok((Operator(name.into()), token.to_owned()))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const A: &str = "0123456789abcdef0123456789abcdef";
    const B: &str = "fedcba98:76543210fedcba9876543210+";

    fn tokens() -> AdminTokens {
        AdminTokens::parse(&format!("# ops\nann:{A}\n\n ben.lee : {B} \nann:{A}2\n")).unwrap()
    }

    #[test]
    fn each_token_of_the_set_is_its_holder_s_and_no_other_is_taken() {
        let whose = |token: &str| tokens().verify(token).map(|operator| operator.to_string());
        assert_eq!((whose(A).as_deref(), whose(B).as_deref()), (Ok("ann"), Ok("ben.lee")));
        assert_eq!(whose(&format!("{A}2")).as_deref(), Ok("ann"), "while one token takes the other's place");
        for wrong in [
            "",
            &A[1..],
            &format!("{A}0"),
            &A.to_uppercase(),
            "# ops",
            "ann",
            &format!("ann:{A}"),
            &format!("{A} "),
        ] {
            assert_eq!(whose(wrong), Err(Refusal::AdminToken), "{wrong}");
        }
    }

    #[test]
    fn tokens_that_are_easily_guessed_or_nobody_s_are_refused() {
        let refused = |text: &str| AdminTokens::parse(text).unwrap_err();
        assert_eq!(refused(""), InvalidAdminTokens::Empty);
        assert_eq!(refused(&format!("a:{A}\n{A}")), InvalidAdminTokens::Unnamed(2));
        assert!(refused(A).to_string().contains("write name:token") && !refused(A).to_string().contains(A));
        assert_eq!(refused(&format!(":{A}")), InvalidAdminTokens::Name(1));
        assert_eq!(refused(&format!("a b:{A}")), InvalidAdminTokens::Name(1));
        assert_eq!(refused(&format!("{}:{A}", "x".repeat(65))), InvalidAdminTokens::Name(1));
        assert_eq!(refused(&format!("a:{A}\na:secret")), InvalidAdminTokens::Length { nth: 2, chars: 6 });
        assert_eq!(
            refused(&format!("a:{}", "x".repeat(257))),
            InvalidAdminTokens::Length { nth: 1, chars: 257 }
        );
        assert_eq!(refused(&format!("a:{}", A.replace('a', " "))), InvalidAdminTokens::Characters(1));
        assert_eq!(refused(&format!("a:{A}\nb:{A}")), InvalidAdminTokens::Shared(2));
        let many: String = (0..65).map(|i| format!("a:{A}{i}\n")).collect();
        assert_eq!(refused(&many), InvalidAdminTokens::TooMany(65));
    }

    #[test]
    fn debug_shows_names_and_no_token() {
        assert_eq!(format!("{:?}", tokens()), r#"AdminTokens(["ann", "ben.lee", "ann"])"#);
    }

    proptest! {
        #[test]
        fn garbage_is_nobody_s_token(text in "\\PC{0,300}") {
            prop_assert_eq!(tokens().verify(&text), Err(Refusal::AdminToken));
            let _ = AdminTokens::parse(&text);
        }
    }
}
