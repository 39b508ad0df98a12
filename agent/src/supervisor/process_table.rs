//! What `/proc` tells about processes, as far as recognising our own needs it (proc(5)).

use std::{fs, path::Path};

/// One process of the machine.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ProcessEntry {
    pub(super) pid: u32,
    /// The process group it is in; its own id if it leads it.
    pub(super) group: u32,
    /// When it started, in clock ticks since boot.
    pub(super) start_ticks: u64,
    /// It has ended, and only its exit code waits to be fetched.
    pub(super) ended: bool,
}

/// Looks a process up. `None` if there is none, or no `/proc`.
pub(super) fn look_up(pid: u32) -> Option<ProcessEntry> {
    parse_stat(pid, &fs::read_to_string(format!("/proc/{pid}/stat")).ok()?)
}

/// Every process of the machine.
pub(super) fn all() -> impl Iterator<Item = ProcessEntry> {
    let entries = fs::read_dir("/proc").into_iter().flatten().filter_map(Result::ok);
    entries.filter_map(|entry| look_up(entry.file_name().to_str()?.parse().ok()?))
}

/// The value of a variable in the environment a process was started with. `None` also where we may not look.
pub(super) fn environment_of(pid: u32) -> Option<Environment> {
    fs::read(Path::new("/proc").join(pid.to_string()).join("environ"))
        .ok()
        .map(Environment)
}

/// The environment a process was started with.
pub(super) struct Environment(Vec<u8>);

impl Environment {
    /// The value of a variable.
    pub(super) fn get(&self, name: &str) -> Option<&[u8]> {
        let variables = self.0.split(|byte| *byte == 0);
        variables
            .filter_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))
            .next()
    }
}

/// Reads `/proc/PID/stat`. The second field is the program's name in parentheses and may itself hold spaces and
/// parentheses, so fields are counted from the last one.
fn parse_stat(pid: u32, stat: &str) -> Option<ProcessEntry> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_ascii_whitespace();
    let state = fields.next()?;
    let group = fields.nth(1)?.parse().ok()?;
    // Field 22, where `group` was field 5.
    let start_ticks = fields.nth(16)?.parse().ok()?;
    Some(ProcessEntry {
        pid,
        group,
        start_ticks,
        ended: matches!(state, "Z" | "X"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_spaces_and_parentheses_does_not_shift_the_fields() {
        let stat = "42 (a) S (b) S 1 40 39 0 -1 4194560 1 2 3 4 5 6 7 8 20 0 1 0 987654 2 3";
        let expected = ProcessEntry {
            pid: 42,
            group: 40,
            start_ticks: 987_654,
            ended: false,
        };
        assert_eq!(parse_stat(42, stat), Some(expected));
        assert_eq!(parse_stat(42, "42 (a) S 1"), None);
        assert_eq!(parse_stat(42, ""), None);
    }

    #[test]
    fn this_test_finds_itself() {
        let me = std::process::id();
        assert!(look_up(me).is_some_and(|entry| entry.start_ticks > 0 && !entry.ended));
        assert!(all().any(|entry| entry.pid == me));
        assert_eq!(
            environment_of(me).unwrap().get("PATH").map(<[u8]>::to_vec),
            std::env::var_os("PATH").map(std::ffi::OsString::into_encoded_bytes)
        );
    }
}
