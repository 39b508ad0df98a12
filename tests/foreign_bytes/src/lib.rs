//! What must hold for any bytes at every decoder that reads bytes from outside: one check for each fuzz target.
//!
//! The fuzz targets in `fuzz/` drive these checks with libFuzzer; `tests/corpora.rs` replays the committed corpora with
//! a stable compiler. So both say the same, and a finding of the one stays a test of the other. A check panics where a
//! promise is broken. Each asserts more than that nothing panics:
//!
//! - **canonical form**: what was decoded, encoded and decoded again, is the same;
//! - **limits** of the contract hold for what was taken, and what was refused says which field;
//! - **memory** stays below a bound stated beside the check ([`memory`]).
//!
//! [`TARGETS`] names them all; `docs/testing.md` has the table.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a promise that is broken ends the run: that is what a fuzzer looks for"
)]

mod agent_rows;
mod certificates;
mod command_lines;
mod configuration;
mod frame_meter;
mod gateway_answers;
mod gateway_rows;
mod generated_report;
mod http_text;
mod kube_objects;
mod manifests;
pub mod memory;
mod observe_lines;
mod process_specs;
mod reports;
mod request_heads;
mod stored_cells;
mod verdicts_and_desired;

pub use agent_rows::agent_rows;
pub use certificates::certificates;
pub use command_lines::command_lines;
pub use configuration::{agent_config, gateway_config};
pub use frame_meter::frame_meter;
pub use gateway_answers::gateway_answers;
pub use gateway_rows::gateway_rows;
pub use generated_report::generated_report;
pub use kube_objects::kube_objects;
pub use manifests::manifests;
pub use observe_lines::observe_lines;
pub use process_specs::process_specs;
pub use reports::{report_binary, report_json};
pub use request_heads::request_heads;
pub use verdicts_and_desired::{desired_binary, desired_json, verdicts_binary, verdicts_json};

/// A check: panics if these bytes break a promise.
pub type Check = fn(&[u8]);

/// Every fuzz target: its name, also of its corpus and its binary in `fuzz/`, and its check.
pub const TARGETS: &[(&str, Check)] = &[
    ("report_binary", report_binary),
    ("generated_report", generated_report),
    ("report_json", report_json),
    ("verdicts_binary", verdicts_binary),
    ("verdicts_json", verdicts_json),
    ("desired_binary", desired_binary),
    ("desired_json", desired_json),
    ("gateway_answers", gateway_answers),
    ("process_specs", process_specs),
    ("certificates", certificates),
    ("observe_lines", observe_lines),
    ("command_lines", command_lines),
    ("agent_config", agent_config),
    ("gateway_config", gateway_config),
    ("manifests", manifests),
    ("agent_rows", agent_rows),
    ("gateway_rows", gateway_rows),
    ("kube_objects", kube_objects),
    ("request_heads", request_heads),
    ("frame_meter", frame_meter),
];
