//! `stentorctl ticket keygen`: a new key, its private half into a file for this user alone, its public half for everyone.

use std::{
    fs::OpenOptions,
    io::{ErrorKind, Write as _},
    os::unix::fs::OpenOptionsExt as _,
    path::{Path, PathBuf},
};

use clap::{Args, ValueEnum};
use serde::Serialize;
use stentor_admission::{KeyKind, NewKey};

use crate::{failure::Failure, settings::Settings, show};

/// Draws of random bytes for one key. Of ES256 one in four thousand million makes none; two in a row are a broken source.
const DRAWS: usize = 3;

#[derive(Debug, Args)]
pub(crate) struct Keygen {
    /// What it signs by: es256 and eddsa are key pairs, hs256 is a secret that every edge would hold
    #[arg(long, value_enum, default_value_t = Kind::Es256)]
    kind: Kind,
    /// Its name, which tickets tell, of a-z A-Z 0-9 . _ - [default: made up]
    #[arg(long, value_name = "NAME")]
    kid: Option<String>,
    /// Where the private half is written; a file that is there already is left alone
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Where the public half is written [default: standard output]
    #[arg(long, value_name = "FILE")]
    jwks: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Kind {
    Es256,
    #[value(name = "eddsa")]
    EdDsa,
    Hs256,
}

impl From<Kind> for KeyKind {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Es256 => Self::Es256,
            Kind::EdDsa => Self::EdDsa,
            Kind::Hs256 => Self::Hs256,
        }
    }
}

/// A new key as it is told. Nothing of it is private.
#[derive(Debug, Serialize)]
struct Made {
    key: String,
    kind: String,
    private_file: PathBuf,
    jwks_file: Option<PathBuf>,
    /// Null for a shared secret.
    jwks: Option<serde_json::Value>,
}

impl Keygen {
    pub(super) fn run(self, settings: &Settings) -> Result<(), Failure> {
        let kind = KeyKind::from(self.kind);
        if kind == KeyKind::Hs256 && self.jwks.is_some() {
            let advice =
                "a shared secret has no public half; leave --jwks out, or take --kind es256 or eddsa";
            return Err(Failure::Usage(advice.to_owned()));
        }
        let made_up = || format!("{}-{:08x}", kind.as_str().to_lowercase(), rand::random::<u32>());
        let name = self.kid.unwrap_or_else(made_up);
        let key = new(&name, kind)?;
        // Half a pair is worth nothing.
        for path in [Some(&self.out), self.jwks.as_ref()].into_iter().flatten() {
            if path.exists() {
                return Err(in_use(path));
            }
        }
        write(&self.out, &key.private, 0o600)?;
        if let (Some(path), Some(jwks)) = (&self.jwks, &key.jwks) {
            write(path, jwks, 0o644)?;
        }
        let told = Made {
            key: name.clone(),
            kind: kind.to_string(),
            private_file: self.out.clone(),
            jwks_file: self.jwks.clone(),
            jwks: key.jwks.as_deref().and_then(|jwks| serde_json::from_str(jwks).ok()),
        };
        show::print(settings.output, &told, || match (key.jwks, self.jwks) {
            (Some(jwks), None) => jwks.trim_end().to_owned(),
            (_, Some(path)) => {
                format!(
                    "key {name}: private half in {}, public half in {}",
                    self.out.display(),
                    path.display()
                )
            }
            (None, None) => format!("key {name}: a shared secret in {}", self.out.display()),
        })
    }
}

fn new(name: &str, kind: KeyKind) -> Result<NewKey, Failure> {
    let mut key = NewKey::new(name, kind, &rand::random());
    for _ in 1..DRAWS {
        if key.is_ok() {
            break;
        }
        key = NewKey::new(name, kind, &rand::random());
    }
    key.map_err(|error| Failure::Usage(error.to_string()))
}

/// Writes a new file. One that is there may hold the only copy of a key that is in use.
fn write(path: &Path, text: &str, mode: u32) -> Result<(), Failure> {
    let file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path);
    file.and_then(|mut file| file.write_all(text.as_bytes())).map_err(|error| match error.kind() {
        ErrorKind::AlreadyExists => in_use(path),
        _ => Failure::Other(format!("{}: {error}", path.display())),
    })
}

fn in_use(path: &Path) -> Failure {
    let advice = "is there already and may be a key in use; give another file, or move it away";
    Failure::Other(format!("{} {advice}", path.display()))
}
