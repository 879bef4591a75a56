//! What a ticket says about its holder.

use std::time::Duration;

use stentor_ids::{ParticipantId, Role, RoomId};
use stentor_pace::WallTime;

use crate::Refusal;

/// Longest name in characters. It stands in every list of participants.
const MAX_NAME_CHARS: usize = 64;

/// By how much the clocks of an issuer and a node may differ before a fresh ticket counts as not yet valid.
const CLOCK_SKEW: Duration = Duration::from_secs(30);

/// The claims of a ticket. Times are kept in whole seconds on the wire (RFC 7519, section 2).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claims {
    /// The one room it is for.
    pub room: RoomId,
    /// Who holds it: `sub`.
    pub participant: ParticipantId,
    /// The name to show: 1 to 64 printable characters.
    pub name: String,
    /// The role it gives, unless a moderator decides otherwise. One that this build does not know is a listener's.
    pub role: Role,
    /// From when on it is worth nothing: `exp`.
    pub expires_at: WallTime,
    /// Before when it is worth nothing: `nbf`.
    pub not_before: Option<WallTime>,
    /// When it was signed: `iat`. Told, not checked.
    pub issued_at: Option<WallTime>,
}

/// Claims that no ticket can have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum InvalidClaims {
    /// The name is empty, or only spaces.
    #[error("the name is empty; give 1 to {MAX_NAME_CHARS} characters")]
    NoName,
    /// The name is too long.
    #[error("the name has {0} characters; at most {MAX_NAME_CHARS} are allowed")]
    LongName(usize),
    /// The name holds what cannot be seen, or turns the text around it.
    #[error("the name holds {0:?}, which is not printable")]
    UnprintableName(char),
}

impl Claims {
    /// Checks what the types do not.
    ///
    /// # Errors
    /// What is wrong with the name.
    pub fn validate(&self) -> Result<(), InvalidClaims> {
        let chars = self.name.chars().count();
        if chars > MAX_NAME_CHARS {
            return Err(InvalidClaims::LongName(chars));
        }
        if let Some(bad) = self.name.chars().find(|c| !is_printable(*c)) {
            return Err(InvalidClaims::UnprintableName(bad));
        }
        if self.name.trim().is_empty() { Err(InvalidClaims::NoName) } else { Ok(()) }
    }

    /// Checks that the ticket is good at this time.
    ///
    /// # Errors
    /// Its time is over, or has not come.
    pub fn check_time(&self, now: WallTime) -> Result<(), Refusal> {
        if now >= self.expires_at {
            return Err(Refusal::Expired { at: self.expires_at, now });
        }
        match self.not_before {
            Some(from) if now + CLOCK_SKEW < from => Err(Refusal::NotYetValid { from, now }),
            _ => Ok(()),
        }
    }

    /// Checks that the ticket is for this room.
    ///
    /// # Errors
    /// It is for another.
    pub fn check_room(&self, room: &RoomId) -> Result<(), Refusal> {
        if self.room == *room {
            return Ok(());
        }
        Err(Refusal::WrongRoom { ticket: self.room.clone(), asked: room.clone() })
    }
}

/// Not a control character, a line separator, or one of the invisible ones with which one name can be made to look like
/// another or to swallow the text after it (Unicode Standard Annex 9, section 2).
fn is_printable(c: char) -> bool {
    !c.is_control()
        && !matches!(c, '\u{200B}' | '\u{200E}' | '\u{200F}' | '\u{2028}'..='\u{202E}' | '\u{2060}'..='\u{206F}' | '\u{FEFF}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_short_and_printable() {
        let check = |name: &str| {
            let claims = Claims {
                room: RoomId::new("demo").unwrap(),
                participant: ParticipantId::new("ann").unwrap(),
                name: name.into(),
                role: Role::Speaker,
                expires_at: WallTime::default(),
                not_before: None,
                issued_at: None,
            };
            claims.validate()
        };
        for name in ["Ann", "Jürgen Müller", "王芳", "O'Neil 🎙", "نمی\u{200C}خواهم", &"ü".repeat(64)]
        {
            assert_eq!(check(name), Ok(()), "{name}");
        }
        assert_eq!(check(""), Err(InvalidClaims::NoName));
        assert_eq!(check("  "), Err(InvalidClaims::NoName));
        assert_eq!(check(&"x".repeat(65)), Err(InvalidClaims::LongName(65)));
        for bad in ['\0', '\n', '\u{1b}', '\u{202e}', '\u{200b}', '\u{2066}'] {
            assert_eq!(check(&format!("Ann{bad}")), Err(InvalidClaims::UnprintableName(bad)));
        }
    }
}
