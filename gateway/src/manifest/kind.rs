//! The two kinds of object, and the names people and programs have for them.

use std::{fmt, str::FromStr};

/// The API group of both kinds.
pub const GROUP: &str = "apollo.azure.com";
/// The version of both kinds.
pub const VERSION: &str = "v1alpha1";
/// `apiVersion` of both kinds.
pub const API_VERSION: &str = "apollo.azure.com/v1alpha1";
/// The namespace of a DeviceProcess that names none, as with kubectl.
pub const DEFAULT_NAMESPACE: &str = "default";

/// A kind of object.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Kind {
    /// Cluster-scoped: one device, its liveness.
    Device,
    /// Namespaced: one process on one device.
    DeviceProcess,
}

impl Kind {
    /// `kind` in an object.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Device => "Device",
            Self::DeviceProcess => "DeviceProcess",
        }
    }

    /// Lower-case singular, as kubectl prints it.
    pub fn singular(self) -> &'static str {
        match self {
            Self::Device => "device",
            Self::DeviceProcess => "deviceprocess",
        }
    }

    /// Whether its objects live in a namespace.
    pub fn is_namespaced(self) -> bool {
        self == Self::DeviceProcess
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Not a name of a kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("expected devices (device, dev) or deviceprocesses (deviceprocess, dp), got {0:?}")]
pub struct UnknownKind(pub String);

impl FromStr for Kind {
    type Err = UnknownKind;
    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        match text.to_ascii_lowercase().as_str() {
            "devices" | "device" | "dev" => Ok(Self::Device),
            "deviceprocesses" | "deviceprocess" | "dp" => Ok(Self::DeviceProcess),
            _ => Err(UnknownKind(text.to_owned())),
        }
    }
}
