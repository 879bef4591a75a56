//! What the options mean once all layers are in: flags over environment over env file over defaults. No value is
//! printed; errors name where one stands.

use std::{
    collections::BTreeMap,
    os::unix::fs::PermissionsExt as _,
    path::{Path, PathBuf},
};

use stentor_admission::{InvalidKeys, SigningKeys, TicketKeys};
use stentor_probe::Target;

use crate::{
    failure::Failure,
    options::{Global, Output},
};

const ADMIN: &str = "http://127.0.0.1:7070";
const EDGE: &str = "http://127.0.0.1:8080";

/// Where systems keep the certificates they trust, in one PEM file.
const SYSTEM_CAS: [&str; 4] = [
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/cert.pem",
    "/etc/ssl/ca-bundle.pem",
];

/// The options of one run.
pub(crate) struct Settings {
    pub(crate) admin: String,
    pub(crate) output: Output,
    global: Global,
    token: Option<String>,
    edges: Vec<String>,
    ticket_keys: Option<String>,
}

impl Settings {
    /// Puts the layers together; `env` looks up the environment.
    pub(crate) fn gather(global: Global, env: impl Fn(&str) -> Option<String>) -> Result<Self, Failure> {
        let env = |name: &str| env(name).filter(|value| !value.is_empty());
        let file = match &global.env_file {
            _ if global.dev => Some(dev_env_file(&global)?),
            Some(file) => Some(file.clone()),
            None => env("STENTOR_ENV_FILE").map(Into::into),
        };
        let file = file.as_deref().map(read_env_file).transpose()?.unwrap_or_default();
        let layered = |name: &str| env(name).or_else(|| file.get(name).cloned());
        let token = match (&global.token, &global.token_file) {
            (Some(token), _) => Some(token.clone()),
            (None, Some(path)) => Some(first_line(path)?),
            (None, None) => layered("STENTOR_ADMIN_TOKEN"),
        };
        let edges = match layered("STENTOR_EDGE") {
            _ if !global.edge.is_empty() => global.edge.clone(),
            Some(list) => list.split(',').map(|edge| edge.trim().to_owned()).collect(),
            None => vec![EDGE.to_owned()],
        };
        let ca = global.ca.clone().or_else(|| layered("STENTOR_CA").map(Into::into));
        Ok(Self {
            admin: global
                .admin
                .clone()
                .or_else(|| layered("STENTOR_ADMIN"))
                .unwrap_or_else(|| ADMIN.to_owned()),
            output: global.output,
            token,
            edges,
            ticket_keys: layered("STENTOR_TICKET_KEYS"),
            global: Global { ca, ..global },
        })
    }

    /// The admin token.
    pub(crate) fn token(&self) -> Result<&str, Failure> {
        self.token.as_deref().ok_or_else(|| {
            Failure::Other(
                "no admin token is given; set STENTOR_ADMIN_TOKEN, or give --token or --token-file. Beside `stentor dev`, \
                 give --dev"
                    .to_owned(),
            )
        })
    }

    /// The edges, and who one is there.
    pub(crate) fn target(&self, ticket: Option<String>) -> Result<Target, Failure> {
        let secure = self.edges.iter().any(|edge| edge.starts_with("https:"));
        let ca_pem = if secure { self.ca()? } else { None };
        Ok(Target { edges: self.edges.clone(), ticket, ca_pem })
    }

    /// The certificates to trust: those given, else those of the system.
    pub(crate) fn ca(&self) -> Result<Option<Vec<u8>>, Failure> {
        match &self.global.ca {
            Some(path) => read(path).map(Some),
            None => Ok(SYSTEM_CAS.iter().find_map(|path| std::fs::read(path).ok())),
        }
    }

    /// The keys that sign tickets: of the file if one is given, else of the environment; none if there are none.
    pub(crate) fn signing_keys(&self, file: Option<&Path>) -> Result<Option<SigningKeys>, Failure> {
        self.keys(file, SigningKeys::parse)
    }

    /// The keys that verify tickets, from the same places: a set of public keys, or what the keys that sign verify.
    pub(crate) fn ticket_keys(&self, file: Option<&Path>) -> Result<Option<TicketKeys>, Failure> {
        self.keys(file, |text| match SigningKeys::parse(text) {
            Ok(keys) => Ok(keys.verifying()),
            // What is wrong with a set of public keys is told by who reads such sets.
            Err(InvalidKeys::NoPrivateKey(_)) if text.contains("\"keys\"") => TicketKeys::jwks(text),
            Err(error) => Err(error),
        })
    }

    fn keys<K>(
        &self,
        file: Option<&Path>,
        parse: impl Fn(&str) -> Result<K, InvalidKeys>,
    ) -> Result<Option<K>, Failure> {
        let (text, place) = match (file, &self.ticket_keys) {
            (Some(path), _) => (text(path)?, path.display().to_string()),
            (None, Some(keys)) => (keys.clone(), "STENTOR_TICKET_KEYS".to_owned()),
            (None, None) => return Ok(None),
        };
        parse(&text).map(Some).map_err(|error| Failure::Other(format!("{place}: {error}")))
    }
}

/// Where `stentor dev` writes its addresses and keys, unless it was told otherwise: named after its admin port.
fn dev_env_file(global: &Global) -> Result<PathBuf, Failure> {
    let port = global.admin.as_deref().unwrap_or(ADMIN).rsplit(':').next().unwrap_or_default();
    let port: u16 = port.trim_end_matches('/').parse().map_err(|_| {
        Failure::Usage(
            "--dev looks for a cluster by its admin port; give --admin http://127.0.0.1:PORT".to_owned(),
        )
    })?;
    let path = std::env::temp_dir().join(format!("stentor-dev-{port}.env"));
    let missing = |reason: &str| {
        let advice =
            "is `stentor dev` running? It names the file that it writes; give another one with --env-file";
        Failure::Other(format!("{}: {reason}\n  {advice}", path.display()))
    };
    let mode = std::fs::metadata(&path).map_err(|error| missing(&error.to_string()))?.permissions().mode();
    // Others can put files there too, but not such that only this user can read them.
    if mode & 0o077 != 0 {
        return Err(missing("others may read or write it, so `stentor dev` has not written it"));
    }
    Ok(path)
}

fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    std::fs::read(path).map_err(|error| Failure::Other(format!("{}: {error}", path.display())))
}

fn text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?).map_err(|_| Failure::Other(format!("{} is not text", path.display())))
}

fn first_line(path: &Path) -> Result<String, Failure> {
    let text = text(path)?;
    let mut lines = text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let empty = || Failure::Other(format!("{} holds no token", path.display()));
    lines.next().map(str::to_owned).ok_or_else(empty)
}

/// `NAME=VALUE` lines as a shell reads them: `export` in front, quotes around the value, comments.
fn read_env_file(path: &Path) -> Result<BTreeMap<String, String>, Failure> {
    let text = text(path)?;
    let mut values = BTreeMap::new();
    for (line, number) in text.lines().map(str::trim).zip(1..) {
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let line = line.strip_prefix("export ").unwrap_or(line);
        let Some((name, value)) = line.split_once('=') else {
            return Err(Failure::Other(format!("{}, line {number}: not NAME=VALUE", path.display())));
        };
        let quoted = |quote: char| value.strip_prefix(quote).and_then(|value| value.strip_suffix(quote));
        let value = quoted('"').or_else(|| quoted('\'')).unwrap_or(value);
        values.insert(name.trim().to_owned(), value.to_owned());
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use std::{fs::Permissions, io::Write as _};

    use stentor_admission::{KeyKind, NewKey};

    use super::*;

    fn file(text: &str) -> (tempfile::NamedTempFile, PathBuf) {
        let mut file = tempfile::NamedTempFile::new().unwrap();
        file.write_all(text.as_bytes()).unwrap();
        let path = file.path().to_owned();
        (file, path)
    }

    #[test]
    fn flags_go_over_the_environment_over_the_env_file_over_the_defaults() {
        let (_kept, path) = file(
            "# of stentor dev\nexport STENTOR_ADMIN=http://file:1\nSTENTOR_EDGE='http://file:2'\nexport STENTOR_ADMIN_TOKEN=\"file\"\n",
        );
        let global = Global { env_file: Some(path), token: Some("flag".into()), ..Global::default() };
        let env = |name: &str| (name == "STENTOR_EDGE").then(|| "http://env:1, http://env:2".to_owned());
        let settings = Settings::gather(global, env).unwrap();
        assert_eq!(settings.admin, "http://file:1");
        assert_eq!(settings.edges, ["http://env:1", "http://env:2"]);
        assert_eq!(settings.token().unwrap(), "flag");

        let bare = Settings::gather(Global::default(), |_| None).unwrap();
        assert_eq!((bare.admin.as_str(), bare.edges.as_slice()), (ADMIN, &[EDGE.to_owned()][..]));
        assert!(bare.token().unwrap_err().to_string().contains("STENTOR_ADMIN_TOKEN"));
        assert!(bare.ticket_keys(None).unwrap().is_none() && bare.signing_keys(None).unwrap().is_none());
    }

    #[test]
    fn a_file_that_is_wrong_is_named_with_the_line_and_without_its_text() {
        let (_kept, path) = file("STENTOR_ADMIN=x\nhush\n");
        let global = Global { env_file: Some(path.clone()), ..Global::default() };
        let error = Settings::gather(global, |_| None).err().unwrap().to_string();
        assert!(error.contains("line 2") && error.contains(&path.display().to_string()), "{error}");
        assert!(!error.contains("hush"), "{error}");
        let global = Global { token_file: Some("no/such".into()), ..Global::default() };
        let error = Settings::gather(global, |_| None).err().unwrap().to_string();
        assert!(error.contains("no/such"), "{error}");
        let settings = Settings::gather(Global::default(), |_| None).unwrap();
        let error = settings.ticket_keys(Some(&path)).unwrap_err().to_string();
        assert!(error.contains(&path.display().to_string()) && !error.contains("hush"), "{error}");
    }

    #[test]
    fn a_private_key_signs_and_both_halves_verify() {
        let new = NewKey::new("a", KeyKind::Es256, &[7; 32]).unwrap();
        let [private, jwks] = [new.private, new.jwks.unwrap()].map(|text| file(&text));
        let settings = Settings::gather(Global::default(), |_| None).unwrap();
        assert!(settings.signing_keys(Some(&private.1)).is_ok());
        assert!(
            settings.ticket_keys(Some(&private.1)).is_ok() && settings.ticket_keys(Some(&jwks.1)).is_ok()
        );
        let error = settings.signing_keys(Some(&jwks.1)).unwrap_err().to_string();
        assert!(error.contains("a set of keys"), "{error}");
        let (_kept, empty) = file("{\"keys\": []}");
        let error = settings.ticket_keys(Some(&empty)).unwrap_err().to_string();
        assert!(error.contains("holds no key"), "{error}");
    }

    #[test]
    fn a_dev_cluster_is_found_by_its_admin_port() {
        let path = std::env::temp_dir().join("stentor-dev-1.env");
        let dev = |admin: &str| {
            let global = Global { dev: true, admin: Some(admin.to_owned()), ..Global::default() };
            Settings::gather(global, |_| None)
        };
        std::fs::write(&path, "export STENTOR_ADMIN_TOKEN=dev\n").unwrap();
        let set_mode = |mode| std::fs::set_permissions(&path, Permissions::from_mode(mode)).unwrap();
        set_mode(0o644);
        assert!(dev("http://127.0.0.1:1").err().unwrap().to_string().contains("others may read"));
        set_mode(0o600);
        assert_eq!(dev("http://127.0.0.1:1/").unwrap().token().unwrap(), "dev");
        std::fs::remove_file(&path).unwrap();
        assert!(dev("http://127.0.0.1:1").err().unwrap().to_string().contains("stentor-dev-1.env"));
        assert!(dev("http://somewhere").err().unwrap().to_string().contains("PORT"));
    }

    #[test]
    fn an_empty_variable_counts_as_none() {
        let settings = Settings::gather(Global::default(), |_| Some(String::new())).unwrap();
        assert_eq!(settings.admin, ADMIN);
    }
}
