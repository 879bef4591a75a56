//! Wire to domain at the door: a field that cannot be is refused by name.

use stentor_ids::{Code, Fault, InvalidName, Role};

use crate::v1;

/// A field of a message that cannot be what it says.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadField {
    /// A name that is no name.
    #[error(transparent)]
    Name(#[from] InvalidName),
    /// A field that must be there is not.
    #[error("field {0} is missing")]
    Missing(&'static str),
    /// An enum value that this build does not know.
    #[error("field {field} has value {value}, which this build does not know")]
    Unknown {
        /// The field.
        field: &'static str,
        /// Its value on the wire.
        value: i32,
    },
    /// A gain that no room takes.
    #[error("field gain_db is {0}; gains are whole decibels, -40 to 12")]
    Gain(i32),
    /// A moment before 1970, after 9999, or one that is none.
    #[error("field {field} is no moment from 1970 to 9999: {seconds} s and {nanos} ns since 1970")]
    Moment {
        /// The field.
        field: &'static str,
        /// Its seconds since 1970.
        seconds: i64,
        /// Its nanoseconds, which are below a second.
        nanos: i32,
    },
}

impl From<BadField> for Fault {
    fn from(error: BadField) -> Self {
        Fault::new(Code::InvalidArgument, error.to_string())
    }
}

impl From<BadField> for tonic::Status {
    fn from(error: BadField) -> Self {
        crate::status_of(&error.into())
    }
}

/// The value of a message field that must be there.
///
/// # Errors
/// [`BadField::Missing`] names the field.
pub fn required<T>(value: Option<T>, field: &'static str) -> Result<T, BadField> {
    value.ok_or(BadField::Missing(field))
}

/// A role as the wire has it.
#[must_use]
pub const fn role_to_wire(role: Role) -> v1::Role {
    match role {
        Role::Listener => v1::Role::Listener,
        Role::Speaker => v1::Role::Speaker,
        Role::Cohost => v1::Role::Cohost,
        Role::Host => v1::Role::Host,
    }
}

/// A gain that is asked for, in decibels.
///
/// # Errors
/// [`BadField::Gain`]: it is far out of bounds. A room has narrower ones of its own.
pub fn gain_from_wire(decibels: i32) -> Result<i8, BadField> {
    i8::try_from(decibels).map_err(|_| BadField::Gain(decibels))
}

/// The role that somebody has, from the wire; `None` where it is unspecified. One that only a newer build knows may do what a
/// listener may.
#[must_use]
pub fn role_held(value: i32) -> Option<Role> {
    role_from_wire(value).unwrap_or(Some(Role::Listener))
}

/// A role that is asked for, from the wire; `None` where it is unspecified.
///
/// # Errors
/// [`BadField::Unknown`] for a value of a newer build.
pub fn role_from_wire(value: i32) -> Result<Option<Role>, BadField> {
    match v1::Role::try_from(value) {
        Ok(v1::Role::Unspecified) => Ok(None),
        Ok(v1::Role::Listener) => Ok(Some(Role::Listener)),
        Ok(v1::Role::Speaker) => Ok(Some(Role::Speaker)),
        Ok(v1::Role::Cohost) => Ok(Some(Role::Cohost)),
        Ok(v1::Role::Host) => Ok(Some(Role::Host)),
        Err(_) => Err(BadField::Unknown { field: "role", value }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_role_survives_the_wire() {
        for role in Role::ALL {
            assert_eq!(role_from_wire(role_to_wire(role).into()), Ok(Some(role)));
        }
        assert_eq!(role_from_wire(0), Ok(None));
        assert_eq!(role_from_wire(99), Err(BadField::Unknown { field: "role", value: 99 }));
        assert_eq!((role_held(99), role_held(0)), (Some(Role::Listener), None));
    }
}
