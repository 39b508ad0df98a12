//! Objects as people write them: YAML or JSON, the same that kubectl takes, read strictly.
//!
//! [`documents()`] takes files apart, [`check`](check_object) turns each object into a [`Manifest`] or says which field is
//! wrong and what was expected there. Everything is checked before anything is written.

mod check;
mod device;
mod documents;
mod fields;
mod kind;
mod metadata;
mod object;
mod process;

pub use check::check_object;
pub use device::{DeviceSpec, STALE_AFTER_MAX, StaleAfterError};
pub use documents::{Document, DocumentError, documents};
pub use fields::{Problem, Problems};
pub use kind::{API_VERSION, DEFAULT_NAMESPACE, GROUP, Kind, UnknownKind, VERSION};
pub use object::{Manifest, ObjectKey};
pub use process::{STOP_GRACE_PERIOD_SECONDS_MAX, desired_phase};
