//! `apollo-linksim`: puts an emulated link between UDP clients and a server.

use std::{io::Write, net::SocketAddr, path::PathBuf, time::Duration};

use apollo_tests::linksim::{Blackout, Config, LinkSim};
use clap::{CommandFactory, Parser, error::ErrorKind};
use tokio::signal::unix::{SignalKind, signal};

/// How often the figures on disk are brought up to date.
const STATS_INTERVAL: Duration = Duration::from_secs(1);

/// A UDP link with delay, limited rate, loss and blackouts, which counts every byte that crosses it.
///
/// Clients send to --listen instead of the server. The first line on stdout is "listening udp=ADDR".
#[derive(Parser)]
#[command(
    version,
    after_help = "Examples:
  A geostationary satellite in front of a gateway:
    apollo-linksim --listen 127.0.0.1:5544 --to 127.0.0.1:4433 --delay-ms 300 --loss 0.02 --rate-kbit 1000
  A link that is dark 20 s of each minute, with its figures in a file:
    apollo-linksim --listen 127.0.0.1:0 --to 127.0.0.1:4433 --blackout every=60s,for=20s --json-stats link.json"
)]
struct Arguments {
    /// Address to listen on; port 0 picks a free one
    #[arg(long, value_name = "ADDR")]
    listen: SocketAddr,
    /// Address of the server
    #[arg(long, value_name = "ADDR")]
    to: SocketAddr,
    /// One-way delay, milliseconds
    #[arg(long, default_value_t = 0)]
    delay_ms: u64,
    /// Each datagram's delay is off by up to this much either way, milliseconds; order is kept
    #[arg(long, default_value_t = 0)]
    jitter_ms: u64,
    /// Rate each way, kilobits per second, with a queue of 128 KiB; unlimited if absent
    #[arg(long)]
    rate_kbit: Option<u32>,
    /// Share of datagrams lost each way, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    loss: f64,
    /// Share of datagrams delivered twice, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    dup: f64,
    /// Share of datagrams overtaken by later ones, 0 to 1
    #[arg(long, default_value_t = 0.0)]
    reorder: f64,
    /// Dark for the last part of each cycle
    #[arg(long, value_name = "every=60s,for=20s")]
    blackout: Option<Blackout>,
    /// Give every client a new source address this often, as a NAT that forgets
    #[arg(long, value_name = "DURATION", value_parser = humantime::parse_duration)]
    rebind_every: Option<Duration>,
    /// Seed of all chance: the same seed, the same fate for the n-th datagram of a direction
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Write the figures to this file, each second and at the end
    #[arg(long, value_name = "FILE")]
    json_stats: Option<PathBuf>,
}

impl Arguments {
    fn config(&self) -> Config {
        Config {
            listen: self.listen,
            to: self.to,
            delay: Duration::from_millis(self.delay_ms),
            jitter: Duration::from_millis(self.jitter_ms),
            rate_kbit: self.rate_kbit,
            loss: self.loss,
            dup: self.dup,
            reorder: self.reorder,
            blackout: self.blackout,
            rebind_every: self.rebind_every,
            seed: self.seed,
        }
    }
}

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    let config = arguments.config();
    if let Err(error) = config.check() {
        Arguments::command()
            .error(ErrorKind::ValueValidation, format!("{error:#}"))
            .exit();
    }
    let link = LinkSim::start(config)?;
    let mut stdout = std::io::stdout();
    writeln!(stdout, "listening udp={}", link.local_addr())?;
    stdout.flush()?;

    let mut tick = tokio::time::interval(STATS_INTERVAL);
    loop {
        tokio::select! {
            _ = interrupt.recv() => break,
            _ = terminate.recv() => break,
            _ = tick.tick() => {
                if let Some(path) = &arguments.json_stats {
                    link.stats().write_to(path)?;
                }
            }
        }
    }
    let stats = link.stop();
    match &arguments.json_stats {
        Some(path) => stats.write_to(path),
        None => Ok(()),
    }
}
