//! A gateway that cannot serve says so and ends, rather than running without serving.

use std::{
    net::{TcpListener, UdpSocket},
    time::{Duration, Instant},
};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{Gateway, GatewayOptions, PATIENCE, Pki, Running, Sandbox, wait};

/// The contract's bound.
const WITHIN: Duration = Duration::from_secs(5);

/// Starts a gateway whose last arguments win over the working ones, and expects it to give up in good order. Returns
/// its one line.
fn refused(sandbox: &Sandbox, pki: &Pki, options: &GatewayOptions, code: i32) -> Result<String> {
    let started = Instant::now();
    let command = options.command(sandbox, pki)?;
    let ended = Running::finish("refused", command, sandbox.path(), None, PATIENCE)?;
    ensure!(started.elapsed() < WITHIN, "took {:?}", started.elapsed());
    let ended = ended.exited(code)?;
    ensure!(ended.stdout.is_empty(), "said it was serving: {ended:?}");
    let lines: Vec<&str> = ended.stderr.lines().collect();
    ensure!(lines.len() == 1, "expected one line on stderr: {ended:#?}");
    Ok(lines[0].to_owned())
}

fn setting() -> Result<(Sandbox, Pki)> {
    let sandbox = Sandbox::new()?;
    let pki = Pki::new(&sandbox)?;
    Ok((sandbox, pki))
}

#[test]
fn finding_02_a_taken_udp_port_ends_serve() -> Result<()> {
    let (sandbox, pki) = setting()?;
    let taken = UdpSocket::bind("127.0.0.1:0")?;
    let listen = taken.local_addr()?;
    let line = refused(
        &sandbox,
        &pki,
        &GatewayOptions {
            listen,
            ..GatewayOptions::default()
        },
        1,
    )?;
    ensure!(line.contains(&listen.to_string()), "{line}");
    Ok(())
}

#[test]
fn finding_02_a_taken_tcp_port_ends_serve() -> Result<()> {
    let (sandbox, pki) = setting()?;
    let taken = TcpListener::bind("127.0.0.1:0")?;
    let admin = taken.local_addr()?.to_string();
    let mut command = GatewayOptions::default().command(&sandbox, &pki)?;
    let arguments: Vec<_> = command.get_args().map(std::ffi::OsStr::to_owned).collect();
    let program = command.get_program().to_owned();
    command = std::process::Command::new(program);
    // The same command line with the admin address replaced.
    let mut replace = false;
    for argument in arguments {
        command.arg(if replace {
            admin.clone().into()
        } else {
            argument.clone()
        });
        replace = argument == "--admin-listen";
    }
    let started = Instant::now();
    let ended = Running::finish("refused", command, sandbox.path(), None, PATIENCE)?.exited(1)?;
    ensure!(started.elapsed() < WITHIN, "took {:?}", started.elapsed());
    ensure!(
        ended.stdout.is_empty() && ended.stderr.lines().count() == 1,
        "{ended:#?}"
    );
    ensure!(ended.stderr.contains(&admin), "{ended:#?}");
    Ok(())
}

#[test]
fn finding_02_a_bad_certificate_ends_serve() -> Result<()> {
    let (sandbox, pki) = setting()?;
    std::fs::write(pki.gateway_cert(), "not a certificate")?;
    let line = refused(&sandbox, &pki, &GatewayOptions::default(), 2)?;
    ensure!(line.contains("gateway.pem"), "{line}");
    Ok(())
}

#[test]
fn finding_02_a_key_of_another_certificate_ends_serve() -> Result<()> {
    let (sandbox, pki) = setting()?;
    let other = pki.device("buoy-17")?;
    std::fs::copy(other.key, pki.gateway_key())?;
    let line = refused(&sandbox, &pki, &GatewayOptions::default(), 2)?;
    ensure!(line.contains("gateway.key"), "{line}");
    Ok(())
}

#[test]
fn finding_02_an_unusable_store_ends_serve() -> Result<()> {
    let (sandbox, pki) = setting()?;
    for (store, content) in [
        ("absent/gateway.db", None),
        ("garbage.db", Some("this is not a database".repeat(100))),
    ] {
        if let Some(content) = content {
            sandbox.write(store, &content)?;
        }
        let options = GatewayOptions {
            store: store.to_owned(),
            ..GatewayOptions::default()
        };
        let line = refused(&sandbox, &pki, &options, 4).with_context(|| store.to_owned())?;
        ensure!(line.contains(store), "{line}");
    }
    Ok(())
}

#[test]
fn sigterm_drains_and_exits_with_0() -> Result<()> {
    let (sandbox, pki) = setting()?;
    let mut gateway = Gateway::spawn(&sandbox, &pki, &GatewayOptions::default())?;
    assert_eq!(gateway.admin_get("/healthz")?.0, 200);
    wait::until_true("readiness", PATIENCE, || {
        Ok(gateway.admin_get("/readyz")?.0 == 200)
    })?;
    let status = gateway.process.terminate(PATIENCE)?;
    assert_eq!(status.code(), Some(0));
    Ok(())
}
