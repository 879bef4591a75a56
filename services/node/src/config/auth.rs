//! Who is let in: what tickets, resume tokens and admin tokens are checked with.

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use serde::{Deserialize, Serialize};
use stentor_admission::{AdminTokens, ClusterKeys, TicketKeys};

use super::Secret;

/// What tickets and admin tokens are checked with: in place, or in a file. Secrets in place are comma-separated, in a file
/// one a line.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub(crate) struct Auth {
    /// A JSON Web Key Set of public keys, which verify tickets and make none.
    pub(crate) ticket_jwks: String,
    pub(crate) ticket_jwks_file: Option<PathBuf>,
    /// `name:secret` for each shared secret that signs and verifies tickets, in base64url of 32 bytes or more.
    pub(crate) ticket_keys: Secret,
    pub(crate) ticket_keys_file: Option<PathBuf>,
    /// The same for the keys of the cluster, which seal what edges hand out.
    pub(crate) cluster_keys: Secret,
    pub(crate) cluster_keys_file: Option<PathBuf>,
    /// `name:token` for each valid token of an operator, of 32 characters or more.
    pub(crate) admin_tokens: Secret,
    pub(crate) admin_tokens_file: Option<PathBuf>,
}

impl Auth {
    /// What an edge checks tickets with: public keys, shared secrets, or both while one takes the other's place; and what
    /// it seals with.
    pub(crate) fn edge_keys(&self) -> Result<stentor_edge::Keys> {
        let jwks = given("ticket_jwks", &self.ticket_jwks, self.ticket_jwks_file.as_deref())?;
        let secrets = lines("ticket_keys", &self.ticket_keys, self.ticket_keys_file.as_deref())?;
        let jwks = jwks.as_deref().map(TicketKeys::jwks).transpose();
        let jwks = jwks.context("auth.ticket_jwks (STENTOR_AUTH__TICKET_JWKS)")?;
        let secrets = secrets.as_deref().map(TicketKeys::secrets).transpose();
        let secrets = secrets.context("auth.ticket_keys (STENTOR_AUTH__TICKET_KEYS)")?;
        let tickets = match (jwks, secrets) {
            (Some(jwks), Some(secrets)) => {
                jwks.and(secrets).context("auth.ticket_jwks and auth.ticket_keys together")?
            }
            (Some(keys), None) | (None, Some(keys)) => keys,
            (None, None) => bail!(
                "no keys of tickets are given; give public ones by auth.ticket_jwks_file or auth.ticket_jwks \
                 (STENTOR_AUTH__TICKET_JWKS), or shared secrets by auth.ticket_keys (STENTOR_AUTH__TICKET_KEYS)"
            ),
        };
        let cluster = lines("cluster_keys", &self.cluster_keys, self.cluster_keys_file.as_deref())?;
        let cluster = ClusterKeys::parse(&cluster.unwrap_or_default()).context(
            "auth.cluster_keys (STENTOR_AUTH__CLUSTER_KEYS), which every edge of the cluster shares",
        )?;
        Ok(stentor_edge::Keys { tickets, cluster })
    }

    /// The tokens that let operators in; every admin node needs them.
    pub(crate) fn tokens(&self) -> Result<AdminTokens> {
        let text = lines("admin_tokens", &self.admin_tokens, self.admin_tokens_file.as_deref())?;
        AdminTokens::parse(&text.unwrap_or_default())
            .context("auth.admin_tokens (STENTOR_AUTH__ADMIN_TOKENS)")
    }
}

/// Secrets, one a line.
fn lines(name: &str, inline: &Secret, file: Option<&Path>) -> Result<Option<String>> {
    given(name, &inline.reveal().replace(',', "\n"), file)
}

/// The text that stands in place or in the file; `None` if neither is given.
fn given(name: &str, inline: &str, file: Option<&Path>) -> Result<Option<String>> {
    match file {
        Some(_) if !inline.is_empty() => bail!("auth.{name} and auth.{name}_file are both given; give one"),
        Some(file) => {
            let text = std::fs::read_to_string(file);
            text.map(Some).with_context(|| format!("auth.{name}_file {}", file.display()))
        }
        None => Ok((!inline.is_empty()).then(|| inline.to_owned())),
    }
}

#[cfg(test)]
mod tests {
    use stentor_admission::{KeyKind, NewKey, key_line};

    use super::*;

    fn auth() -> Auth {
        Auth { cluster_keys: key_line("a", &[1; 32]).unwrap().as_str().into(), ..Auth::default() }
    }

    fn jwks(name: &str) -> String {
        NewKey::new(name, KeyKind::Es256, &[2; 32]).unwrap().jwks.unwrap()
    }

    #[test]
    fn public_keys_stand_in_a_file_in_place_or_beside_shared_secrets() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("tickets.jwks");
        std::fs::write(&file, jwks("a")).unwrap();
        let names = |auth: Auth| auth.edge_keys().map(|keys| format!("{:?}", keys.tickets));
        let filed = Auth { ticket_jwks_file: Some(file), ..auth() };
        assert_eq!(names(filed.clone()).unwrap(), r#"TicketKeys(["a"])"#);
        assert_eq!(names(Auth { ticket_jwks: jwks("b"), ..auth() }).unwrap(), r#"TicketKeys(["b"])"#);
        let secret = |name| Secret::from(key_line(name, &[3; 32]).unwrap().as_str());
        let both = Auth { ticket_keys: secret("old"), ..filed.clone() };
        assert_eq!(names(both).unwrap(), r#"TicketKeys(["a", "old"])"#);
        let clash = names(Auth { ticket_keys: secret("a"), ..filed.clone() }).unwrap_err();
        assert!(format!("{clash:#}").contains("two keys are named \"a\""), "{clash:#}");
        let twice = names(Auth { ticket_jwks: jwks("b"), ..filed }).unwrap_err();
        assert!(twice.to_string().contains("auth.ticket_jwks_file are both given"), "{twice}");
    }

    #[test]
    fn a_private_key_is_no_key_for_an_edge() {
        let private = NewKey::new("a", KeyKind::Es256, &[2; 32]).unwrap().private;
        let refused = |auth: Auth| format!("{:#}", auth.edge_keys().unwrap_err());
        let set = format!("{{\"keys\":[{private}]}}");
        let error = refused(Auth { ticket_jwks: set, ..auth() });
        assert!(
            error.contains("STENTOR_AUTH__TICKET_JWKS") && error.contains("give public keys only"),
            "{error}"
        );
        let error = refused(Auth { ticket_keys: private.as_str().into(), ..auth() });
        assert!(error.contains("STENTOR_AUTH__TICKET_KEYS") && !error.contains("\"d\""), "{error}");
    }
}
