//! `pki init | device | show`: a throw-away or small-fleet certificate authority in a directory.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::Context;
use apollo_wire::DeviceName;
use clap::{Args, Subcommand};

use crate::{
    exit::Failure,
    pki::{self, IssueError, files, show},
};

/// The authority's and the gateway's files; a device of that name would collide with them.
const RESERVED: [&str; 2] = ["ca", "gateway"];
/// What a gateway on this machine is called; used when `--san` is absent.
const DEFAULT_SANS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// `pki`
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  apollo-gateway pki init --dir pki --san gateway.example.com --san 192.0.2.10
  apollo-gateway pki device buoy-17 --dir pki
  apollo-gateway pki show pki/buoy-17.pem")]
pub struct PkiArgs {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, Subcommand)]
enum Action {
    /// Make an authority and a gateway certificate: ca.pem ca.key gateway.pem gateway.key
    Init {
        /// Directory to write to; made if missing
        #[arg(long)]
        dir: PathBuf,
        /// DNS name or IP address agents will use for the gateway (repeatable) [default: localhost 127.0.0.1 ::1]
        #[arg(long, value_name = "NAME|IP")]
        san: Vec<String>,
    },
    /// Make a device's certificate: NAME.pem NAME.key
    Device {
        /// The device's name: a DNS-1123 subdomain, such as buoy-17
        name: DeviceName,
        /// Directory made by `pki init`
        #[arg(long)]
        dir: PathBuf,
    },
    /// Print subject, names, validity and device name of the certificates in a PEM file
    Show {
        /// The PEM file
        file: PathBuf,
    },
}

/// Runs `pki`.
pub fn run(args: PkiArgs) -> Result<(), Failure> {
    match args.action {
        Action::Init { dir, san } => init(&dir, san),
        Action::Device { name, dir } => device(&dir, &name),
        Action::Show { file } => {
            let pem = fs::read(&file)
                .with_context(|| format!("cannot read {}", file.display()))
                .map_err(Failure::Failed)?;
            let text = show::describe(&pem)
                .with_context(|| file.display().to_string())
                .map_err(Failure::Failed)?;
            print!("{text}");
            Ok(())
        }
    }
}

fn init(dir: &Path, sans: Vec<String>) -> Result<(), Failure> {
    let sans = if sans.is_empty() {
        DEFAULT_SANS.map(String::from).to_vec()
    } else {
        sans
    };
    // Everything is made before anything is written: a bad --san leaves no half authority behind.
    let authority = pki::authority(today()).map_err(issue_failure)?;
    let gateway = pki::gateway(&authority, &sans, today()).map_err(issue_failure)?;
    files::ensure_directory(dir).map_err(failed)?;
    files::ensure_free(dir, &RESERVED).map_err(failed)?;
    files::write(dir, "ca", &authority).map_err(failed)?;
    files::write(dir, "gateway", &gateway).map_err(failed)?;
    println!(
        "wrote ca.pem ca.key gateway.pem gateway.key to {} ({})",
        dir.display(),
        sans.join(", ")
    );
    Ok(())
}

fn device(dir: &Path, name: &DeviceName) -> Result<(), Failure> {
    if RESERVED.contains(&name.as_str()) {
        let taken =
            anyhow::anyhow!("device name \"{name}\" is taken by the {name}'s own files, choose another");
        return Err(Failure::Usage(taken));
    }
    files::ensure_free(dir, &[name.as_str()]).map_err(failed)?;
    let authority = files::read(dir, "ca")
        .context("no authority there; make one with `apollo-gateway pki init`")
        .map_err(Failure::Failed)?;
    let issued = pki::device(&authority, name, today()).map_err(issue_failure)?;
    files::write(dir, name.as_str(), &issued).map_err(failed)?;
    println!("wrote {name}.pem {name}.key to {}", dir.display());
    Ok(())
}

fn today() -> jiff::civil::Date {
    jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now()).date()
}

fn failed(error: files::FileError) -> Failure {
    Failure::Failed(error.into())
}

fn issue_failure(error: IssueError) -> Failure {
    match error {
        IssueError::San { .. } => Failure::Usage(error.into()),
        IssueError::Authority(_) | IssueError::Sign(_) => Failure::Failed(error.into()),
    }
}
