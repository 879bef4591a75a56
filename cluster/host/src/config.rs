//! What an operator may set about rooms on an origin.

use serde::{Deserialize, Serialize};

use crate::Error;

/// Settings of a [`Host`](crate::Host).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// Most rooms that this node runs at once, 1 to 10 000. A talking room takes about a fortieth of a core. Beyond it the
    /// node claims nothing more and refuses to take rooms over.
    pub max_rooms: u32,
    /// How hard the encoder of a room works, 0 to 10.
    pub complexity: u8,
}

impl Default for Config {
    fn default() -> Self {
        Self { max_rooms: 200, complexity: 5 }
    }
}

impl Config {
    /// Checks every bound.
    ///
    /// # Errors
    /// [`Error::Config`] names the first field that is out of bounds, with its value.
    pub fn validate(&self) -> Result<(), Error> {
        if !(1..=10_000).contains(&self.max_rooms) {
            return Err(Error::Config(format!("max_rooms is {}; give 1 to 10000", self.max_rooms)));
        }
        if self.complexity > 10 {
            return Err(Error::Config(format!("complexity is {}; give 0 to 10", self.complexity)));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_out_of_bounds_is_named_with_its_value() {
        assert!(Config::default().validate().is_ok());
        let refused = |config: Config| config.validate().unwrap_err().to_string();
        assert!(refused(Config { max_rooms: 0, ..Config::default() }).contains("max_rooms is 0"));
        assert!(refused(Config { complexity: 11, ..Config::default() }).contains("complexity is 11"));
    }
}
