//! `run`: what it checks before it starts, and how it ends.

use std::{
    io::{BufRead, BufReader, Read},
    net::{TcpListener, UdpSocket},
    process::{Child, Command, Stdio},
};

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair, SanType};

use crate::program::Device;

/// Certificates of `buoy-17` and a gateway that swallows what it is sent.
struct Setting {
    device: Device,
    files: tempfile::TempDir,
    gateway: UdpSocket,
}

impl Setting {
    fn new() -> Self {
        let files = tempfile::tempdir().unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
        let mut params = CertificateParams::new(vec![]).unwrap();
        let name = "spiffe://fleet.example/device/buoy-17".try_into().unwrap();
        params.subject_alt_names = vec![SanType::URI(name)];
        let key = KeyPair::generate().unwrap();
        let certificate = params.signed_by(&key, &issuer).unwrap();
        for (name, pem) in [
            ("ca", issuer.pem()),
            ("cert", certificate.pem()),
            ("key", key.serialize_pem()),
        ] {
            std::fs::write(files.path().join(name), pem).unwrap();
        }
        Self {
            device: Device::new(),
            files,
            gateway: UdpSocket::bind("127.0.0.1:0").unwrap(),
        }
    }

    fn file(&self, name: &str) -> String {
        self.files.path().join(name).display().to_string()
    }

    /// `run` with everything it needs and `more`; what comes later wins nothing, so nothing may come twice.
    fn run(&self, more: &[&str]) -> Command {
        let gateway = format!("https://{}", self.gateway.local_addr().unwrap());
        let (ca, cert, key) = (self.file("ca"), self.file("cert"), self.file("key"));
        let needed = [
            "run",
            "--gateway",
            &gateway,
            "--ca",
            &ca,
            "--cert",
            &cert,
            "--key",
            &key,
        ];
        self.device.command(&[&needed[..], more].concat())
    }

    /// Starts `run` and waits until it says that it has.
    fn started(&self) -> Started {
        let mut child = self.run(&[]).spawn().unwrap();
        let mut log = BufReader::new(child.stderr.take().unwrap());
        let mut line = String::new();
        while !line.contains("agent started") {
            line.clear();
            assert!(
                log.read_line(&mut line).unwrap() > 0,
                "it ended early: {:?}",
                child.wait()
            );
        }
        Started { child, log }
    }
}

/// A running agent.
struct Started {
    child: Child,
    log: BufReader<std::process::ChildStderr>,
}

impl Started {
    /// Sends a signal and returns the exit code.
    fn end(mut self, signal: &str) -> Option<i32> {
        let id = self.child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-s", signal, &id])
                .status()
                .unwrap()
                .success()
        );
        let mut rest = String::new();
        self.log.read_to_string(&mut rest).unwrap();
        self.child.wait().unwrap().code()
    }
}

/// Exit code and standard error of a command that ends by itself.
fn ended(mut command: Command) -> (Option<i32>, String) {
    let output = command.stdin(Stdio::null()).output().unwrap();
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

/// The exit code, and that standard error tells `what`.
fn refused(command: Command, code: i32, what: &str) {
    let (found, log) = ended(command);
    assert_eq!(found, Some(code), "{log}");
    assert!(log.contains(what), "{what} is not in {log}");
}

#[test]
fn check_config_loads_the_certificates_and_names_the_one_that_is_wrong() {
    let setting = Setting::new();
    let output = setting.run(&["--check-config"]).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert!(String::from_utf8(output.stdout).unwrap().contains("buoy-17"));
    assert!(!setting.device.data_dir().exists(), "it only looks");
    for name in ["ca", "cert", "key"] {
        let sound = std::fs::read(setting.file(name)).unwrap();
        std::fs::write(setting.file(name), "nonsense").unwrap();
        refused(setting.run(&["--check-config"]), 2, &setting.file(name));
        std::fs::write(setting.file(name), sound).unwrap();
    }
}

#[test]
fn a_signal_ends_it_with_0_and_a_second_one_beside_it_with_1() {
    let setting = Setting::new();
    for signal in ["TERM", "INT"] {
        let running = setting.started();
        let (code, log) = ended(setting.run(&[]));
        assert_eq!(code, Some(1), "{log}");
        assert!(log.contains("another `apollo-agent run`"), "{log}");
        // Nobody answers the last exchange, and it ends all the same.
        assert_eq!(running.end(signal), Some(0), "SIG{signal}");
    }
}

#[test]
fn what_cannot_run_ends_with_the_code_of_its_kind_and_says_why() {
    let setting = Setting::new();
    refused(setting.device.command(&["run"]), 2, "--gateway is required");
    let mut misspelt = setting.run(&[]);
    misspelt.env("APOLLO_AGENT_HARTBEAT", "1s");
    refused(misspelt, 2, "APOLLO_AGENT_HARTBEAT");
    std::fs::write(setting.file("cert"), "nonsense").unwrap();
    refused(setting.run(&[]), 2, &setting.file("cert"));

    let setting = Setting::new();
    std::fs::write(setting.device.data_dir(), "a file").unwrap();
    refused(setting.run(&[]), 4, setting.device.data_dir().to_str().unwrap());

    let setting = Setting::new();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    refused(setting.run(&["--metrics-listen", &address]), 1, &address);
}
