//! What a node is to be.

use std::net::{Ipv4Addr, SocketAddr};

use serde::Serialize;
use stentor_host::EngineFactory;
use stentor_node::Config;
use toml::{Table, Value};

/// What a node is to be: its configuration, of which a test says what matters to it.
pub struct Plan {
    settings: Table,
    /// Where operators connect.
    pub(crate) admin: SocketAddr,
    pub(crate) engines: Option<EngineFactory>,
}

impl Plan {
    /// A node of these roles, on free ports of loopback, with the shortest lease there is, so that it is soon known to be gone
    /// when it is.
    ///
    /// # Panics
    /// No port is free.
    #[must_use]
    pub fn of(roles: &[&str]) -> Self {
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0)).to_string();
        // The directory tells where people connect and not where operators do.
        let admin = SocketAddr::from((Ipv4Addr::LOCALHOST, stentor_programs::free_port().unwrap()));
        Self { settings: Table::new(), admin, engines: None }
            .set("node", "roles", roles.to_vec())
            .set("directory", "lease_ttl_s", 1)
            .set("link", "listen", any.clone())
            .set("edge", "listen", any)
            .set("admin", "listen", admin.to_string())
    }

    /// With this setting.
    ///
    /// # Panics
    /// The section is none.
    #[must_use]
    pub fn set(mut self, section: &str, name: &str, value: impl Into<Value>) -> Self {
        let section = self.settings.entry(section).or_insert_with(|| Table::new().into());
        section.as_table_mut().unwrap().insert(name.to_owned(), value.into());
        self
    }

    /// With a section as its crate has it, but for where it listens.
    ///
    /// # Panics
    /// It is no section.
    #[must_use]
    pub fn section(mut self, section: &str, settings: &impl Serialize) -> Self {
        for (name, value) in Table::try_from(settings).unwrap() {
            if name != "listen" {
                self = self.set(section, &name, value);
            }
        }
        self
    }

    /// With rooms that are mixed by these.
    #[must_use]
    pub fn mixed_by(mut self, engines: EngineFactory) -> Self {
        self.engines = Some(engines);
        self
    }

    pub(crate) fn config(&self, id: &str) -> Config {
        let mut settings = self.settings.clone();
        settings["node"].as_table_mut().unwrap().insert("id".into(), id.into());
        settings.try_into().unwrap()
    }
}
