//! The parts of the quickstart's system, started in order and stopped in reverse.

use std::{path::PathBuf, time::Duration};

use super::Narrator;
use crate::{
    harness::{Agent, Gateway, GatewayOptions, Pki, Program, Running, Sandbox},
    linksim::{Config, LinkSim},
};

/// The device of the story; `fixtures/quickstart/*.yaml` name it too.
pub(super) const DEVICE: &str = "buoy-17";
/// A cellular link's one-way delay.
const DELAY: Duration = Duration::from_millis(40);
/// How long a program may take to end after SIGTERM: longest stop grace of the fixtures, with room.
const STOP_WITHIN: Duration = Duration::from_secs(15);

/// A gateway, a device, the link between them. Fields in the order they must be dropped.
pub(super) struct System {
    agent_process: Running,
    /// The device.
    pub(super) agent: Agent,
    /// Its only way to the gateway.
    pub(super) link: LinkSim,
    /// The gateway.
    pub(super) gateway: Gateway,
    sandbox: Sandbox,
}

impl System {
    /// Builds and starts everything.
    pub(super) fn start(narrator: &mut Narrator) -> anyhow::Result<Self> {
        narrator.step("Build the programs")?;
        let programs = [Program::Gateway.path()?, Program::Agent.path()?];
        narrator.say(&format!(
            "{} and {}",
            programs[0].display(),
            programs[1].display()
        ))?;

        let sandbox = Sandbox::new()?;
        narrator.step("Make certificates")?;
        let pki = Pki::new(&sandbox)?;
        let identity = pki.device(DEVICE)?;
        narrator.say(&format!(
            "a throw-away authority, and one certificate that says \"I am {DEVICE}\""
        ))?;

        narrator.step("Start the gateway")?;
        let gateway = Gateway::spawn(&sandbox, &pki, &GatewayOptions::default())?;
        narrator.say(&format!(
            "HTTP/3 on udp {}, embedded store in one SQLite file",
            gateway.udp()
        ))?;
        let fixtures = concat!(env!("CARGO_MANIFEST_DIR"), "/../fixtures/quickstart");
        let applied = gateway.run("apply", &["-f", fixtures], None)?.success()?;
        narrator.say("told it what should run on the device (fixtures/quickstart/*.yaml):")?;
        narrator.quote(&applied.stdout)?;

        narrator.step("Start the device's agent")?;
        let link = LinkSim::start(Config {
            delay: DELAY,
            ..Config::new(gateway.udp())
        })?;
        let agent = Agent::new(&sandbox, &pki, &identity, link.local_addr());
        let agent_process = agent.start(&["--sync-interval", "1s", "--heartbeat", "2s"])?;
        narrator.say(&format!(
            "real QUIC with mutual TLS, over an emulated link of {} ms each way",
            DELAY.as_millis()
        ))?;
        Ok(Self {
            agent_process,
            agent,
            link,
            gateway,
            sandbox,
        })
    }

    /// The gateway's database.
    pub(super) fn store(&self) -> PathBuf {
        self.sandbox.join("gateway.db")
    }

    /// Stops agent and gateway in good order. Ctrl-C on a terminal has told them already; then this only waits.
    pub(super) fn stop(&mut self) -> anyhow::Result<()> {
        for process in [&mut self.agent_process, &mut self.gateway.process] {
            if process.ended()?.is_none() {
                process.terminate(STOP_WITHIN)?;
            }
        }
        Ok(())
    }
}

/// Blocks until Ctrl-C (SIGINT) or SIGTERM.
pub(super) fn wait_for_interrupt() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => Ok(interrupted?),
            _ = terminate.recv() => Ok(()),
        }
    })
}
