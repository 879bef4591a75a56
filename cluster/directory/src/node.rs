//! What a node tells the cluster about itself.
//!
//! The record is JSON. A field that this build does not know is ignored and a field that the writer did not know has a
//! default, so that nodes of different builds read each other during a rolling upgrade.

use std::{fmt, str::FromStr};

use serde::{Deserialize, Serialize};
use stentor_ids::NodeId;
use stentor_placement::Labels;

/// One thing that a node does in the cluster.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum NodeRole {
    /// Runs room actors.
    Origin,
    /// Carries rooms from origins to edges.
    Relay,
    /// Takes people's connections.
    Edge,
    /// Serves operators.
    Admin,
}

impl NodeRole {
    /// Every role, in the order in which they are printed.
    pub const ALL: [Self; 4] = [Self::Origin, Self::Relay, Self::Edge, Self::Admin];

    /// The role's name in configuration and in the directory.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Origin => "origin",
            Self::Relay => "relay",
            Self::Edge => "edge",
            Self::Admin => "admin",
        }
    }

    const fn bit(self) -> u8 {
        1 << self as u8
    }
}

impl fmt::Display for NodeRole {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

/// A role's name that is not one of the four.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("node role {0:?} is not one of origin, relay, edge, admin")]
pub struct InvalidNodeRole(pub String);

impl FromStr for NodeRole {
    type Err = InvalidNodeRole;
    fn from_str(name: &str) -> Result<Self, InvalidNodeRole> {
        Self::ALL
            .into_iter()
            .find(|role| role.as_str() == name)
            .ok_or_else(|| InvalidNodeRole(name.to_owned()))
    }
}

/// A set of node roles. Reads and prints as `origin,relay`.
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "Vec<String>", into = "Vec<&'static str>")]
pub struct Roles(u8);

impl Roles {
    /// Every role at once: one process that is a whole cluster.
    #[must_use]
    pub fn all() -> Self {
        NodeRole::ALL.into_iter().collect()
    }

    /// Whether the set holds `role`.
    #[must_use]
    pub const fn has(self, role: NodeRole) -> bool {
        self.0 & role.bit() != 0
    }

    /// Whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// The roles of the set.
    pub fn iter(self) -> impl Iterator<Item = NodeRole> {
        NodeRole::ALL.into_iter().filter(move |role| self.has(*role))
    }
}

impl FromIterator<NodeRole> for Roles {
    fn from_iter<I: IntoIterator<Item = NodeRole>>(roles: I) -> Self {
        Self(roles.into_iter().fold(0, |set, role| set | role.bit()))
    }
}

impl From<NodeRole> for Roles {
    fn from(role: NodeRole) -> Self {
        Self(role.bit())
    }
}

/// From the directory: a role that only a newer build knows is no role to this one.
impl From<Vec<String>> for Roles {
    fn from(names: Vec<String>) -> Self {
        names.iter().filter_map(|name| name.parse::<NodeRole>().ok()).collect()
    }
}

impl From<Roles> for Vec<&'static str> {
    fn from(roles: Roles) -> Self {
        roles.iter().map(NodeRole::as_str).collect()
    }
}

/// From configuration, where an unknown name is an error: `origin,relay`.
impl FromStr for Roles {
    type Err = InvalidNodeRole;
    fn from_str(names: &str) -> Result<Self, InvalidNodeRole> {
        names.split(',').map(|name| name.trim().parse::<NodeRole>()).collect()
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&Vec::from(*self).join(","))
    }
}

impl fmt::Debug for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{{{self}}}")
    }
}

/// A node's entry in the membership. It hangs on the node's lease and goes when the lease does.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NodeRecord {
    /// The node's name. Two living nodes never share one.
    pub id: NodeId,
    /// Drawn at random at each start of the process, so that a node knows its own entry from that of a namesake.
    pub instance: u64,
    /// What the node does.
    #[serde(default)]
    pub roles: Roles,
    /// Where other nodes reach it, `host:port`.
    #[serde(default)]
    pub link_addr: String,
    /// Where people reach it, as a URL; edges only.
    #[serde(default)]
    pub public_addr: Option<String>,
    /// Version of the program, for people.
    #[serde(default)]
    pub build: String,
    /// What rooms are placed by. Each stands in the record under its own name.
    #[serde(flatten)]
    pub labels: Labels,
}

impl NodeRecord {
    /// A record with a fresh instance number, the default labels and nothing else set.
    #[must_use]
    pub fn new(id: NodeId, roles: impl Into<Roles>) -> Self {
        Self {
            id,
            instance: rand::random(),
            roles: roles.into(),
            link_addr: String::new(),
            public_addr: None,
            build: String::new(),
            labels: Labels::default(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_read_back_as_they_print_and_name_the_unknown_one() {
        let roles: Roles = "relay, origin".parse().unwrap();
        assert_eq!(roles.to_string(), "origin,relay");
        assert!(roles.has(NodeRole::Relay) && !roles.has(NodeRole::Edge));
        assert_eq!("origin,mixer".parse::<Roles>(), Err(InvalidNodeRole("mixer".into())));
        assert_eq!(Roles::all().iter().count(), 4);
    }

    #[test]
    fn records_of_older_and_newer_builds_are_read() {
        let older: NodeRecord = serde_json::from_str(r#"{"id":"a","instance":7}"#).unwrap();
        assert_eq!((older.labels, older.roles.is_empty()), (Labels::default(), true));
        let newer = r#"{"id":"a","instance":7,"roles":["edge","mixer"],"rack":{"row":3}}"#;
        let newer: NodeRecord = serde_json::from_str(newer).unwrap();
        assert_eq!(newer.roles, NodeRole::Edge.into());
    }

    #[test]
    fn a_label_stands_in_the_record_under_its_own_name_as_older_builds_read_it() {
        let labels = Labels { zone: "a".into(), capacity: 2, draining: true, schema: 3 };
        let record = NodeRecord {
            instance: u64::MAX,
            labels,
            ..NodeRecord::new("n".parse().unwrap(), NodeRole::Relay)
        };
        let written = serde_json::json!({
            "id": "n", "instance": u64::MAX, "roles": ["relay"], "zone": "a", "link_addr": "", "public_addr": null,
            "capacity": 2, "draining": true, "build": "", "schema": 3,
        });
        assert_eq!(serde_json::to_value(&record).unwrap(), written);
        assert_eq!(serde_json::from_value::<NodeRecord>(written).unwrap(), record);
    }
}
