//! Throw-away certificates, made by the program itself.

use std::{path::PathBuf, process::Command};

use super::{Finished, PATIENCE, Program, Running, Sandbox};

/// A certificate authority and a gateway certificate for loopback, in `pki/` of a sandbox.
pub struct Pki {
    logs: PathBuf,
    directory: PathBuf,
}

/// A device's certificate and key.
#[derive(Debug, Clone)]
pub struct Identity {
    /// The device's name.
    pub name: String,
    /// PEM file.
    pub cert: PathBuf,
    /// PEM file.
    pub key: PathBuf,
}

impl Pki {
    /// `apollo-gateway pki init`.
    pub fn new(sandbox: &Sandbox) -> anyhow::Result<Self> {
        Self::named(sandbox, "pki")
    }

    /// As [`Pki::new`], in the directory `name`: a second authority that the first does not know.
    pub fn named(sandbox: &Sandbox, name: &str) -> anyhow::Result<Self> {
        let pki = Self {
            logs: sandbox.path().to_owned(),
            directory: sandbox.join(name),
        };
        pki.run(&["init", "--san", "localhost", "--san", "127.0.0.1"])?
            .success()?;
        Ok(pki)
    }

    /// `apollo-gateway pki device NAME`, the first time; the same certificate afterwards.
    pub fn device(&self, name: &str) -> anyhow::Result<Identity> {
        let file = |extension| self.directory.join(format!("{name}.{extension}"));
        if !file("pem").exists() {
            self.run(&["device", name])?.success()?;
        }
        Ok(Identity {
            name: name.to_owned(),
            cert: file("pem"),
            key: file("key"),
        })
    }

    /// The certificate authority, a PEM file.
    pub fn ca(&self) -> PathBuf {
        self.directory.join("ca.pem")
    }

    /// The authority's key, a PEM file.
    pub fn ca_key(&self) -> PathBuf {
        self.directory.join("ca.key")
    }

    /// The gateway's certificate, a PEM file.
    pub fn gateway_cert(&self) -> PathBuf {
        self.directory.join("gateway.pem")
    }

    /// The gateway's key, a PEM file.
    pub fn gateway_key(&self) -> PathBuf {
        self.directory.join("gateway.key")
    }

    fn run(&self, arguments: &[&str]) -> anyhow::Result<Finished> {
        let mut command = Command::new(Program::Gateway.path()?);
        command
            .arg("pki")
            .args(arguments)
            .arg("--dir")
            .arg(&self.directory);
        Running::finish("pki", command, &self.logs, None, PATIENCE)
    }
}
