//! `serve` from its first line to its end, and what it logs.

use std::{
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Command, Stdio},
};

use crate::{TLS, bad, serve, with_pki};

/// What a gateway printed that was started, asked to end once it served, and ended with exit code 0.
struct Served {
    first_line: String,
    stderr: String,
}

fn served(dir: &Path, extra: &[&str], filter: Option<&str>) -> Served {
    let mut command = Command::new(env!("CARGO_BIN_EXE_apollo-gateway"));
    command.args(serve(extra)).current_dir(dir).env_remove("RUST_LOG");
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command.envs(filter.map(|filter| ("RUST_LOG", filter)));
    let mut child = command.spawn().unwrap();
    let mut stdout = BufReader::new(child.stdout.take().unwrap());
    let mut first_line = String::new();
    stdout.read_line(&mut first_line).unwrap();
    let terminated = Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert!(terminated.success());
    let mut rest = String::new();
    stdout.read_to_string(&mut rest).unwrap();
    let mut stderr = String::new();
    child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{stderr}");
    assert_eq!(rest, "", "logs go to stderr");
    Served { first_line, stderr }
}

#[test]
fn its_first_line_says_where_and_its_log_is_json_on_stderr() {
    let dir = with_pki();
    let served = served(dir.path(), &["--log-format", "json"], None);
    let (udp, admin) = served
        .first_line
        .trim_end()
        .strip_prefix("listening udp=")
        .and_then(|rest| rest.split_once(" admin="))
        .unwrap();
    for address in [udp, admin] {
        let address: std::net::SocketAddr = address.parse().unwrap();
        assert_ne!(address.port(), 0, "the port that the system chose");
    }
    let lines: Vec<serde_json::Value> = served
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let serving = lines
        .iter()
        .find(|line| line["fields"]["admin"] == admin)
        .unwrap();
    assert_eq!(serving["level"], "INFO");
    assert!(serving["fields"]["udp"].to_string().contains(udp), "{serving}");
    assert!(
        lines.len() >= 3,
        "serving, the drain's begin and its end: {lines:#?}"
    );
}

#[test]
fn a_filter_silences_what_it_says() {
    let dir = with_pki();
    assert_eq!(served(dir.path(), &[], Some("error")).stderr, "");
    assert!(served(dir.path(), &[], None).stderr.lines().count() >= 3);
}

#[test]
fn check_config_names_the_file_that_cannot_be_used() {
    let dir = with_pki();
    std::fs::write(dir.path().join("nonsense"), "nonsense").unwrap();
    for flag in ["--tls-cert", "--tls-key", "--client-ca"] {
        let mut args = serve(&["--check-config"]);
        let at = args.iter().position(|arg| *arg == flag).unwrap();
        args[at + 1] = "nonsense";
        let line = bad(dir.path(), &args, 2);
        assert!(line.contains(flag) && line.contains("nonsense"), "{line}");
    }
    assert_eq!(TLS.len(), 6, "all of them were tried");
}
