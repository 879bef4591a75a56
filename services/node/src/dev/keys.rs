//! The secrets of one run of `stentor dev`: made at start, written for the operator's shell alone, gone at the end.

use std::{
    fs::{self, OpenOptions},
    io::Write as _,
    net::SocketAddr,
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use stentor_admission::{KeyKind, NewKey, SigningKeys, key_line};

use crate::config::Auth;

/// A key pair for tickets, a key of the cluster, and an admin token.
pub(super) struct Keys {
    private: String,
    jwks: String,
    cluster_line: String,
    token: String,
}

/// Where the processes of the operator find the cluster.
pub(super) struct Addresses {
    pub(super) admin: SocketAddr,
    pub(super) edge: SocketAddr,
}

impl Keys {
    pub(super) fn make() -> Result<Self> {
        let NewKey { private, jwks } = NewKey::new("dev", KeyKind::EdDsa, &rand::random())?;
        let cluster_line = key_line("dev", &rand::random::<[u8; 32]>())?;
        let token = format!("{:032x}{:032x}", rand::random::<u128>(), rand::random::<u128>());
        Ok(Self { private, jwks: jwks.unwrap_or_default(), cluster_line, token })
    }

    /// What makes tickets. No node has it.
    pub(super) fn signing(&self) -> Result<SigningKeys> {
        Ok(SigningKeys::parse(&self.private)?)
    }

    /// What the nodes are told.
    pub(super) fn auth(&self) -> Auth {
        let cluster_keys = self.cluster_line.as_str().into();
        let admin_tokens = format!("dev:{}", self.token).as_str().into();
        Auth { ticket_jwks: self.jwks.clone(), cluster_keys, admin_tokens, ..Auth::default() }
    }

    /// The admin token, for the process' own calls.
    pub(super) fn token(&self) -> &str {
        &self.token
    }

    /// Writes what `stentorctl` reads from its environment into `path`, readable by this user alone.
    pub(super) fn write(&self, path: PathBuf, at: &Addresses) -> Result<EnvFile> {
        let text = format!(
            "export STENTOR_ADMIN=http://{}\nexport STENTOR_EDGE=http://{}\nexport STENTOR_ADMIN_TOKEN={}\nexport STENTOR_TICKET_KEYS='{}'\n",
            at.admin,
            at.edge,
            self.token,
            // JSON without quotes that would end it.
            self.private.trim()
        );
        write_private(&path, &text).with_context(|| {
            format!("the keys cannot be written to {}; give another file with --env-file", path.display())
        })?;
        Ok(EnvFile(path))
    }
}

/// Makes the file anew, so that neither its old mode nor a link in its place gives the text to others.
fn write_private(path: &Path, text: &str) -> std::io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(text.as_bytes())
}

/// The file with the keys. It goes when this is dropped.
pub(super) struct EnvFile(PathBuf);

impl EnvFile {
    pub(super) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for EnvFile {
    fn drop(&mut self) {
        // Who runs a second cluster in its place has a file of the same name, and then this one is gone already.
        let _ = fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn the_keys_are_for_this_user_alone_and_go_with_the_process() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("env");
        fs::write(&path, "old").unwrap();
        let keys = Keys::make().unwrap();
        let at = Addresses { admin: ([127, 0, 0, 1], 7070).into(), edge: ([127, 0, 0, 1], 8080).into() };
        let file = keys.write(path.clone(), &at).unwrap();
        let text = fs::read_to_string(file.path()).unwrap();
        assert!(text.contains("STENTOR_ADMIN=http://127.0.0.1:7070") && text.contains(keys.token()));
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        assert!(keys.signing().is_ok() && keys.auth().edge_keys().is_ok());
        let line = text.lines().find_map(|line| line.strip_prefix("export STENTOR_TICKET_KEYS=")).unwrap();
        assert!(line.starts_with("'{") && line.ends_with("}'") && line.matches('\'').count() == 2, "{line}");
        assert!(keys.auth().tokens().unwrap().verify(keys.token()).is_ok());
        drop(file);
        assert!(!path.exists());
        let error = format!("{:#}", keys.write("/no/such/folder/env".into(), &at).err().unwrap());
        assert!(error.contains("/no/such/folder/env") && error.contains("--env-file"), "{error}");
    }
}
