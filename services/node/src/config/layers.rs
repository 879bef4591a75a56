//! Where the settings come from: defaults, under a TOML file, under the environment, under flags. Each layer is checked by
//! itself, so that an unknown key is refused with the file, variable or flag that it stands in.
//!
//! A setting `key` of section `section` is the variable `STENTOR_SECTION__KEY` (two underscores) and the flag
//! `--set section.key=value`. Variables without two underscores are none of ours: `stentorctl` has some.

use std::path::Path;

use anyhow::{Context, Result, anyhow};
use serde::Deserialize;
use toml::{Table, Value};

use super::Config;

const ENV_PREFIX: &str = "STENTOR_";
const ENV_SEPARATOR: &str = "__";

/// One setting that did not come from a file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Setting {
    /// What to call it in an error: the variable or flag.
    pub(crate) source: String,
    /// `section.key`.
    pub(crate) path: String,
    pub(crate) value: String,
}

/// The settings in `variables` that are meant for a node.
pub(crate) fn from_env(variables: impl IntoIterator<Item = (String, String)>) -> Vec<Setting> {
    let setting = |(name, value): (String, String)| {
        let (section, key) = name.strip_prefix(ENV_PREFIX)?.split_once(ENV_SEPARATOR)?;
        let path = format!("{}.{}", section.to_lowercase(), key.to_lowercase());
        Some(Setting { source: name.clone(), path, value })
    };
    let mut settings: Vec<_> = variables.into_iter().filter_map(setting).collect();
    settings.sort_by(|a, b| a.path.cmp(&b.path));
    settings
}

/// The configuration that a file and, over it, `settings` in their order give. It is not validated yet.
pub(crate) fn load(file: Option<&Path>, settings: &[Setting]) -> Result<Config> {
    let mut table = Table::new();
    if let Some(path) = file {
        let text = std::fs::read_to_string(path)
            .with_context(|| format!("reading configuration {}", path.display()))?;
        let named = || format!("configuration {}", path.display());
        toml::from_str::<Config>(&text).with_context(named)?;
        table = toml::from_str(&text).with_context(named)?;
    }
    for setting in settings {
        merge(&mut table, setting.to_table().with_context(|| format!("setting {}", setting.source))?);
    }
    Config::deserialize(table).context("the configuration as a whole")
}

impl Setting {
    /// The setting as a table with one leaf, of whichever kind the configuration takes: a TOML value, text, or a
    /// comma-separated list.
    fn to_table(&self) -> Result<Table> {
        let list =
            || Value::Array(self.value.split(',').map(|item| Value::String(item.trim().into())).collect());
        let candidates = [self.value.parse().ok(), Some(Value::String(self.value.clone())), Some(list())];
        let mut refusals = Vec::new();
        for value in candidates.into_iter().flatten() {
            let table = self
                .path
                .rsplit('.')
                .fold(value, |inner, key| Value::Table(Table::from_iter([(key.to_owned(), inner)])));
            let Value::Table(table) = table else { continue };
            match Config::deserialize(table.clone()) {
                Ok(_) => return Ok(table),
                Err(error) => refusals.push(error.message().to_owned()),
            }
        }
        // Of a value of the wrong kind, the refusal of another reading says more.
        let telling = refusals.iter().position(|refusal| !refusal.starts_with("invalid type"));
        Err(anyhow!(refusals.swap_remove(telling.unwrap_or(0))))
    }
}

fn merge(under: &mut Table, over: Table) {
    for (key, value) in over {
        match (under.get_mut(&key), value) {
            (Some(Value::Table(under)), Value::Table(over)) => merge(under, over),
            (_, value) => drop(under.insert(key, value)),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::{io::Write, path::PathBuf};

    use super::*;

    fn set(path: &str, value: &str) -> Setting {
        Setting { source: format!("--set {path}"), path: path.into(), value: value.into() }
    }

    fn file(text: &str) -> tempfile::NamedTempFile {
        let mut file = tempfile::Builder::new().suffix(".toml").tempfile().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        file
    }

    #[test]
    fn flags_go_over_the_environment_over_the_file_over_the_defaults() {
        let file = file("[node]\nid = \"file\"\nzone = \"file\"\ncapacity = 3\n");
        let env = [
            ("STENTOR_NODE__ID", "env"),
            ("STENTOR_NODE__ZONE", "env"),
            ("STENTOR_TOKEN", "not ours"),
            ("PATH", "/"),
        ];
        let mut settings = from_env(env.map(|(name, value)| (name.to_owned(), value.to_owned())));
        settings.push(set("node.id", "flag"));
        let config = load(Some(file.path()), &settings).unwrap();
        assert_eq!((config.node.id.as_str(), config.node.zone.as_str()), ("flag", "env"));
        assert_eq!((config.node.capacity, config.node.drain_timeout_s), (3, 20));
    }

    #[test]
    fn a_value_is_read_as_the_kind_that_its_setting_has() {
        let settings = [
            set("node.id", "7"),
            set("node.capacity", "7"),
            set("node.roles", "origin,relay"),
            set("link.insecure", "true"),
            set("link.listen", "127.0.0.1:1"),
            set("edge.cert", "edge.pem"),
            set("auth.ticket_jwks", "{\"keys\": [{\"kid\": \"a\", \"x\": \"b\"}]}"),
        ];
        let config = load(None, &settings).unwrap();
        assert_eq!((config.node.id.as_str(), config.node.capacity), ("7", 7));
        assert_eq!(config.node.roles.to_string(), "origin,relay");
        assert!(config.link.insecure);
        assert_eq!(config.link.listen.port(), 1);
        assert_eq!(config.edge.cert, Some(PathBuf::from("edge.pem")));
        assert!(config.auth.ticket_jwks.starts_with("{\"keys\""));
    }

    #[test]
    fn an_unknown_key_is_refused_by_name_and_by_where_it_stands() {
        let file = file("[edge]\nlisten = \"127.0.0.1:1\"\nlisen = \"typo\"\n");
        let error = format!("{:#}", load(Some(file.path()), &[]).unwrap_err());
        assert!(error.contains("lisen") && error.contains(".toml") && error.contains("line 3"), "{error}");
        for (path, value, named) in [
            ("edge.lisen", "127.0.0.1:1", "lisen"),
            ("egde.listen", "127.0.0.1:1", "egde"),
            ("edge.listen", "nowhere", "socket address"),
            ("node.roles", "origin,mixer", "mixer"),
            ("node.capacity", "many", "u32"),
        ] {
            let error = format!("{:#}", load(None, &[set(path, value)]).unwrap_err());
            assert!(error.contains(named) && error.contains(path), "{error}");
        }
    }

    #[test]
    fn a_file_that_is_not_there_is_named() {
        let error = format!("{:#}", load(Some(Path::new("/no/such.toml")), &[]).unwrap_err());
        assert!(error.contains("/no/such.toml"), "{error}");
    }

    #[test]
    fn what_is_printed_reads_back_and_holds_no_secret() {
        let settings = [set("auth.admin_tokens", "s3cret"), set("auth.ticket_keys", "main:s3cret")];
        let config = load(None, &settings).unwrap();
        let printed = toml::to_string_pretty(&config).unwrap();
        assert!(printed.contains("***") && !printed.contains("s3cret"), "{printed}");
        assert!(!format!("{config:?}").contains("s3cret"));
        assert!(toml::from_str::<Config>(&printed).is_ok());
    }
}
