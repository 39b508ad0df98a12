//! `apollo-gateway` as its users type it: certificates, configuration, and what ends `serve` before it has begun.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking, its helpers too")]

mod serving;

use std::{
    net::{TcpListener, UdpSocket},
    os::unix::fs::PermissionsExt,
    path::Path,
    process::{Command, Output},
    time::{Duration, Instant},
};

use tempfile::TempDir;

/// All failures of `serve` must end it within this time.
const FAILURE: Duration = Duration::from_secs(5);

fn gateway(dir: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_apollo-gateway"))
        .args(args)
        .current_dir(dir)
        .env_remove("RUST_LOG")
        .output()
        .unwrap()
}

/// Exit code 0 and what it printed.
fn good(dir: &Path, args: &[&str]) -> String {
    let output = gateway(dir, args);
    assert!(
        output.status.success(),
        "{args:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

/// This exit code, one line on stderr; the line.
fn bad(dir: &Path, args: &[&str], code: i32) -> String {
    let output = gateway(dir, args);
    let line = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(code), "{args:?}: {line}");
    assert_eq!(line.trim_end().lines().count(), 1, "{line}");
    line
}

fn with_pki() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    good(dir.path(), &["pki", "init", "--dir", "pki"]);
    dir
}

const TLS: [&str; 6] = [
    "--tls-cert",
    "pki/gateway.pem",
    "--tls-key",
    "pki/gateway.key",
    "--client-ca",
    "pki/ca.pem",
];

fn serve<'a>(extra: &[&'a str]) -> Vec<&'a str> {
    let ports = [
        "serve",
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    [&ports[..], &TLS[..], extra].concat()
}

#[test]
fn keys_are_private_and_nothing_is_overwritten() {
    let dir = with_pki();
    good(dir.path(), &["pki", "device", "buoy-17.north", "--dir", "pki"]);
    for key in ["ca.key", "gateway.key", "buoy-17.north.key"] {
        let mode = dir
            .path()
            .join("pki")
            .join(key)
            .metadata()
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600, "{key}");
    }
    let before = std::fs::read(dir.path().join("pki/ca.pem")).unwrap();
    assert!(bad(dir.path(), &["pki", "init", "--dir", "pki"], 1).contains("pki/ca.pem exists already"));
    let line = bad(dir.path(), &["pki", "device", "buoy-17.north", "--dir", "pki"], 1);
    assert!(line.contains("exists already"), "{line}");
    assert_eq!(std::fs::read(dir.path().join("pki/ca.pem")).unwrap(), before);
}

#[test]
fn names_that_cannot_be_are_refused() {
    let dir = with_pki();
    for name in ["ca", "gateway", "Buoy", "a/b", "..", ""] {
        assert_eq!(
            gateway(dir.path(), &["pki", "device", name, "--dir", "pki"])
                .status
                .code(),
            Some(2),
            "{name}"
        );
    }
    let line = bad(
        dir.path(),
        &["pki", "init", "--dir", "other", "--san", "not a name"],
        2,
    );
    assert!(line.contains("--san"), "{line}");
    assert!(!dir.path().join("other/ca.key").exists(), "nothing half done");
    bad(dir.path(), &["pki", "device", "buoy-17", "--dir", "empty"], 1);
}

#[test]
fn show_tells_names_validity_and_device() {
    let dir = with_pki();
    good(dir.path(), &["pki", "device", "buoy-17", "--dir", "pki"]);
    let shown = good(dir.path(), &["pki", "show", "pki/buoy-17.pem"]);
    for expected in [
        "CN=buoy-17",
        "URI:spiffe://apollo/device/buoy-17",
        "device       buoy-17",
        "valid until",
    ] {
        assert!(shown.contains(expected), "{expected} in {shown}");
    }
    // A device may be out of reach for a season.
    let today = jiff::tz::TimeZone::UTC.to_datetime(jiff::Timestamp::now());
    let in_two_years = today.year() + 2;
    assert!(
        shown.contains(&format!("valid until  {in_two_years}-")),
        "{shown}"
    );
    let shown = good(dir.path(), &["pki", "show", "pki/gateway.pem"]);
    // A device whose clock was never set believes that it is 1970.
    assert!(shown.contains("valid from   1970-01-01"), "{shown}");
    assert!(shown.contains("DNS:localhost, IP:127.0.0.1, IP:::1"), "{shown}");
    bad(dir.path(), &["pki", "show", "pki/buoy-17.key"], 1);
}

#[test]
fn the_printed_configuration_can_be_read_back() {
    let dir = with_pki();
    let printed = good(dir.path(), &serve(&["--max-age", "30d", "--print-config"]));
    assert!(printed.contains("max-age = \"30days\"  # --max-age"), "{printed}");
    assert!(
        printed.contains("stale-after = \"1m 30s\"  # default"),
        "{printed}"
    );
    std::fs::write(dir.path().join("gateway.toml"), &printed).unwrap();
    let again = good(
        dir.path(),
        &["serve", "--config", "gateway.toml", "--print-config"],
    );
    let values = |text: &str| -> Vec<String> {
        text.lines()
            .filter_map(|line| Some(line.split_once("  #")?.0.to_owned()))
            .collect()
    };
    assert_eq!(values(&printed), values(&again));
    assert_eq!(
        good(
            dir.path(),
            &["serve", "--config", "gateway.toml", "--check-config"]
        ),
        "configuration ok\n"
    );
}

#[test]
fn all_that_is_wrong_is_said_at_once() {
    let dir = with_pki();
    let line = bad(
        dir.path(),
        &["serve", "--store", "etcd", "--listen", "here", "--max-body", "1"],
        2,
    );
    for expected in [
        "--store: \"etcd\" is neither embedded:PATH nor kube",
        "--listen",
        "--max-body",
        "--tls-cert: is required",
    ] {
        assert!(line.contains(expected), "{expected} in {line}");
    }
}

#[test]
fn whatever_keeps_serve_from_serving_ends_it_with_one_line() {
    let dir = with_pki();
    std::fs::create_dir(dir.path().join("other")).unwrap();
    good(dir.path(), &["pki", "init", "--dir", "other"]);
    std::fs::write(dir.path().join("nonsense"), "nonsense").unwrap();
    let tcp = TcpListener::bind("127.0.0.1:0").unwrap();
    let udp = UdpSocket::bind("127.0.0.1:0").unwrap();
    let (tcp, udp) = (
        tcp.local_addr().unwrap().to_string(),
        udp.local_addr().unwrap().to_string(),
    );
    let without_ports = |extra: &[&'static str]| [&["serve"][..], extra].concat();
    let cases: [(Vec<&str>, i32, &str); 7] = [
        (
            [
                &without_ports(&TLS)[..],
                &["--listen", &udp, "--admin-listen", "127.0.0.1:0"],
            ]
            .concat(),
            1,
            "UDP port",
        ),
        (
            [
                &without_ports(&TLS)[..],
                &["--listen", "127.0.0.1:0", "--admin-listen", &tcp],
            ]
            .concat(),
            1,
            "TCP port",
        ),
        (serve(&["--store", "embedded:nonsense"]), 4, "store nonsense"),
        (
            serve(&["--store", "embedded:no/such/directory/g.db"]),
            4,
            "does not exist",
        ),
        (serve(&["--config", "absent.toml"]), 2, "absent.toml"),
        (
            without_ports(&[
                "--tls-cert",
                "pki/gateway.pem",
                "--tls-key",
                "other/gateway.key",
                "--client-ca",
                "pki/ca.pem",
            ]),
            2,
            "--tls-key",
        ),
        (
            without_ports(&[
                "--tls-cert",
                "nonsense",
                "--tls-key",
                "pki/gateway.key",
                "--client-ca",
                "pki/ca.pem",
            ]),
            2,
            "--tls-cert nonsense",
        ),
    ];
    for (args, code, expected) in cases {
        let began = Instant::now();
        let line = bad(dir.path(), &args, code);
        assert!(line.contains(expected), "{expected} in {line}");
        assert!(began.elapsed() < FAILURE, "{args:?}");
    }
}
