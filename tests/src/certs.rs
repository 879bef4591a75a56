//! Test certificates for links: an authority and one certificate that every node uses, made anew for each cluster.

use std::path::{Path, PathBuf};

use anyhow::Result;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};

/// Files of an authority and of a certificate that it signed.
#[derive(Debug)]
pub struct Certificates {
    ca: PathBuf,
    cert: PathBuf,
    key: PathBuf,
}

impl Certificates {
    /// Makes them in `folder`.
    ///
    /// # Errors
    /// When the files cannot be written.
    pub fn make(folder: &Path) -> Result<Self> {
        let files =
            Self { ca: folder.join("ca.pem"), cert: folder.join("node.pem"), key: folder.join("node.key") };
        let authority_key = KeyPair::generate()?;
        let mut authority = CertificateParams::new(Vec::new())?;
        authority.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        std::fs::write(&files.ca, authority.self_signed(&authority_key)?.pem())?;
        let issuer = Issuer::new(authority, authority_key);
        let key = KeyPair::generate()?;
        let names = ["stentor-link", "localhost", "127.0.0.1"].map(str::to_owned);
        let node = CertificateParams::new(names.to_vec())?.signed_by(&key, &issuer)?;
        std::fs::write(&files.cert, node.pem())?;
        std::fs::write(&files.key, key.serialize_pem())?;
        Ok(files)
    }

    /// The flags of `stentor node` that make its links use them.
    #[must_use]
    pub fn link_settings(&self) -> Vec<String> {
        [("ca", &self.ca), ("cert", &self.cert), ("key", &self.key)]
            .iter()
            .flat_map(|(name, file)| ["--set".to_owned(), format!("link.{name}={}", file.display())])
            .collect()
    }
}
