//! What the link is like.

use std::{net::SocketAddr, str::FromStr, time::Duration};

use anyhow::{Context, bail};

/// A link, as its command line describes it. [`Config::new`] gives a perfect one.
#[derive(Debug, Clone, PartialEq)]
pub struct Config {
    /// Where clients send to; port 0 picks a free one.
    pub listen: SocketAddr,
    /// The server.
    pub to: SocketAddr,
    /// One-way delay.
    pub delay: Duration,
    /// Each datagram's delay is off by up to this much either way. Order is kept: only `reorder` breaks it.
    pub jitter: Duration,
    /// Kilobits (1,000 bits) of IP bytes per second, each way; `None` is unlimited.
    pub rate_kbit: Option<u32>,
    /// Share of datagrams lost, 0 to 1.
    pub loss: f64,
    /// Share of datagrams delivered twice, 0 to 1.
    pub dup: f64,
    /// Share of datagrams held back so that later ones overtake them, 0 to 1.
    pub reorder: f64,
    /// When the link is dark.
    pub blackout: Option<Blackout>,
    /// How often every flow gets a new source address towards the server.
    pub rebind_every: Option<Duration>,
    /// Seed of all the above.
    pub seed: u64,
}

/// A link that is dark for the last `dark` of each `every`: it starts up.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Blackout {
    /// Length of the cycle.
    pub every: Duration,
    /// How much of it is dark.
    pub dark: Duration,
}

impl Config {
    /// A perfect link to `to`, listening on a free loopback port.
    pub fn new(to: SocketAddr) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            to,
            delay: Duration::ZERO,
            jitter: Duration::ZERO,
            rate_kbit: None,
            loss: 0.0,
            dup: 0.0,
            reorder: 0.0,
            blackout: None,
            rebind_every: None,
            seed: 1,
        }
    }

    /// Refuses what no link can be: a share outside 0 to 1, a rate of 0, a rebind interval of 0.
    pub fn check(&self) -> anyhow::Result<()> {
        for (name, share) in [("loss", self.loss), ("dup", self.dup), ("reorder", self.reorder)] {
            if !(0.0..=1.0).contains(&share) {
                bail!("{name} is {share}, expected a share from 0 to 1");
            }
        }
        if self.rate_kbit == Some(0) {
            bail!("rate-kbit is 0, expected at least 1 (leave it out for an unlimited link)");
        }
        if self.rebind_every == Some(Duration::ZERO) {
            bail!("rebind-every is 0, expected a duration such as 30s");
        }
        Ok(())
    }
}

impl Blackout {
    /// Whether the link is dark `since_start` after it began.
    pub fn is_dark(&self, since_start: Duration) -> bool {
        let into_cycle = since_start.as_nanos() % self.every.as_nanos().max(1);
        into_cycle >= self.every.saturating_sub(self.dark).as_nanos()
    }
}

impl FromStr for Blackout {
    type Err = anyhow::Error;

    /// Reads `every=60s,for=20s`.
    fn from_str(text: &str) -> anyhow::Result<Self> {
        let (mut every, mut dark) = (None, None);
        for part in text.split(',') {
            let (key, value) = part
                .split_once('=')
                .with_context(|| format!("{part:?} is not KEY=DURATION"))?;
            let duration = humantime::parse_duration(value).with_context(|| format!("{key} is {value:?}"))?;
            match key {
                "every" => every = Some(duration),
                "for" => dark = Some(duration),
                _ => bail!("unknown key {key:?}, expected every=DURATION,for=DURATION"),
            }
        }
        match (every, dark) {
            (Some(every), Some(dark)) if dark <= every && !every.is_zero() => Ok(Self { every, dark }),
            _ => bail!("expected every=DURATION,for=DURATION with for no longer than every"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_blackout_is_the_end_of_each_cycle() {
        let blackout: Blackout = "every=60s,for=20s".parse().unwrap();
        for (second, dark) in [
            (0, false),
            (39, false),
            (40, true),
            (59, true),
            (60, false),
            (100, true),
        ] {
            assert_eq!(
                blackout.is_dark(Duration::from_secs(second)),
                dark,
                "at {second} s"
            );
        }
    }

    #[test]
    fn a_blackout_needs_both_parts_and_fits_its_cycle() {
        for bad in [
            "",
            "every=60s",
            "for=1s",
            "every=1s,for=2s",
            "every=1,for=1",
            "every=0s,for=0s",
            "often=1s",
        ] {
            assert!(bad.parse::<Blackout>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn shares_are_accepted_up_to_one_and_not_past_it() {
        let config = Config::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        assert!(
            Config {
                loss: 1.0,
                dup: 0.0,
                ..config.clone()
            }
            .check()
            .is_ok()
        );
        assert!(
            Config {
                loss: 1.01,
                ..config.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Config {
                reorder: -0.1,
                ..config.clone()
            }
            .check()
            .is_err()
        );
        assert!(
            Config {
                rate_kbit: Some(1),
                ..config.clone()
            }
            .check()
            .is_ok()
        );
        assert!(
            Config {
                rate_kbit: Some(0),
                ..config
            }
            .check()
            .is_err()
        );
    }
}
