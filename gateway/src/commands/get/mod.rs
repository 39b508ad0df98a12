//! `get`: what the embedded store holds, for people and for scripts, beside a running gateway.

mod json;
mod object;
mod table;
mod yaml;

pub(crate) use object::shape as object_json;

use std::io::{BufWriter, Write};

use apollo_wire::DeviceName;
use clap::ValueEnum;

use super::{delete::not_found, store_flag::StoreFlag};
use crate::{
    exit::Failure,
    manifest::{DEFAULT_NAMESPACE, Kind, ObjectKey, UnknownKind},
    store::embedded::{EmbeddedReader, ObjectFilter, ObservationFilter, StoreError},
};

/// Flags of `get`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:
  apollo-gateway get devices
  apollo-gateway get deviceprocesses --device buoy-17 -o wide
  apollo-gateway get dp collector -n production -o yaml
  apollo-gateway get observations collector --device buoy-17 -o json

Without a NAME everything is shown that passes -n and --device, of all namespaces unless -n is given. A NAME without -n is
looked for in the namespace \"default\". Observations are sorted by device, epoch and sequence; a NAME is that of their
DeviceProcess. -o json prints one object for a NAME, else a List; observations are a plain array.")]
pub struct GetArgs {
    /// devices (device, dev), deviceprocesses (deviceprocess, dp) or observations (observation, obs)
    pub what: What,
    /// Name of a Device or DeviceProcess
    pub name: Option<String>,
    /// Only this namespace
    #[arg(short, long)]
    pub namespace: Option<String>,
    /// Only what belongs to this device
    #[arg(long)]
    pub device: Option<DeviceName>,
    /// How it is printed
    #[arg(short, long, value_enum, default_value_t)]
    pub output: Output,
    /// Which store.
    #[command(flatten)]
    pub store: StoreFlag,
}

/// What can be shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// Objects of a kind.
    Objects(Kind),
    /// History.
    Observations,
}

impl std::str::FromStr for What {
    type Err = String;
    fn from_str(text: &str) -> Result<Self, String> {
        if matches!(
            text.to_ascii_lowercase().as_str(),
            "observations" | "observation" | "obs"
        ) {
            return Ok(Self::Observations);
        }
        text.parse().map(Self::Objects).map_err(|UnknownKind(text)| {
            format!("expected devices, deviceprocesses or observations, got {text:?}")
        })
    }
}

/// How it is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Output {
    /// Columns for people
    #[default]
    Table,
    /// More columns
    Wide,
    /// JSON
    Json,
    /// YAML
    Yaml,
}

/// Why printing stopped.
#[derive(Debug, thiserror::Error)]
enum Stopped {
    #[error(transparent)]
    Store(#[from] StoreError),
    #[error("stdout cannot be written to")]
    Write(#[from] std::io::Error),
    #[error("an object cannot be printed: {0}")]
    Format(String),
}

/// Runs `get`.
pub fn run(args: &GetArgs) -> Result<(), Failure> {
    let reader = EmbeddedReader::open(&args.store.path).map_err(|error| Failure::Storage(error.into()))?;
    let mut out = BufWriter::new(std::io::stdout().lock());
    let printed = match (args.what, &args.name) {
        (What::Objects(kind), Some(name)) => {
            let key = key(kind, name, args.namespace.as_deref());
            match reader.object(&key) {
                Ok(None) => return Err(Failure::Failed(not_found(&key))),
                Ok(Some(record)) => object::print_one(&record, args.output, &mut out),
                Err(error) => Err(error.into()),
            }
        }
        (What::Objects(kind), None) => {
            let filter = ObjectFilter {
                // Devices belong to no namespace; as with other tools, saying one anyway changes nothing.
                namespace: args.namespace.clone().filter(|_| kind.is_namespaced()),
                device: args.device.clone(),
            };
            object::print_all(&reader, kind, &filter, args.output, &mut out)
        }
        (What::Observations, _) => print_observations(args, &reader, &mut out),
    };
    finish(printed.and_then(|()| Ok(out.flush()?)))
}

fn key(kind: Kind, name: &str, namespace: Option<&str>) -> ObjectKey {
    let namespace = if kind.is_namespaced() {
        namespace.unwrap_or(DEFAULT_NAMESPACE)
    } else {
        ""
    };
    ObjectKey {
        kind,
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}

fn print_observations(args: &GetArgs, reader: &EmbeddedReader, out: &mut impl Write) -> Result<(), Stopped> {
    let default_namespace = args.name.as_ref().map(|_| DEFAULT_NAMESPACE.to_owned());
    let filter = ObservationFilter {
        device: args.device.clone(),
        namespace: args.namespace.clone().or(default_namespace),
        name: args.name.clone(),
    };
    match args.output {
        Output::Json => {
            let mut array = json::Array::begin(out)?;
            reader.each_observation(&filter, |observation| array.item(&observation))?;
            array.end("\n")
        }
        Output::Yaml => {
            let mut list = yaml::List::begin(out, "");
            reader.each_observation(&filter, |observation| list.item(&observation))?;
            list.end()
        }
        Output::Table | Output::Wide => {
            let wide = args.output == Output::Wide;
            table::observation_header(wide, out)?;
            reader.each_observation(&filter, |observation| table::observation(&observation, wide, out))
        }
    }
}

/// A reader that went away (`get ... | head`) is no failure.
fn finish(printed: Result<(), Stopped>) -> Result<(), Failure> {
    match printed {
        Ok(()) => Ok(()),
        Err(Stopped::Write(error)) if error.kind() == std::io::ErrorKind::BrokenPipe => Ok(()),
        Err(Stopped::Store(error)) => Err(Failure::Storage(error.into())),
        Err(other) => Err(Failure::Failed(other.into())),
    }
}
