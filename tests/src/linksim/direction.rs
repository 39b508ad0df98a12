//! What one direction of the link does to each datagram: pure decisions, no IO, time as an argument.

use std::time::Duration;

use rand::{Rng, SeedableRng, rngs::StdRng};

use super::{Config, Counts, IP_UDP_HEADER_BYTES, QUEUE_BYTES};

/// How long a reordered datagram is held back on top of its delay: longer than a burst takes to send, shorter than a
/// loss timer, so later datagrams overtake it and QUIC's packet threshold notices.
const REORDER_HOLD: Duration = Duration::from_millis(30);

/// What tests change while the link is up.
#[derive(Debug, Clone, Copy)]
pub(super) struct Live {
    /// Share lost.
    pub(super) loss: f64,
    /// Dark whatever the schedule says.
    pub(super) blackout: bool,
}

/// One direction. Times are since the start of the link.
pub(super) struct Direction {
    config: Config,
    rng: StdRng,
    /// When the rate-limited sender has sent all it holds.
    busy_until: Duration,
    /// The latest delivery so far: jitter never reorders.
    last_due: Duration,
    /// What happened so far.
    pub(super) counts: Counts,
}

impl Direction {
    /// A direction whose fate is drawn from `stream` of the configured seed.
    pub(super) fn new(config: &Config, stream: u64) -> Self {
        let mut rng = StdRng::seed_from_u64(config.seed);
        // Two directions of one link must not lose the same datagrams.
        for _ in 0..stream {
            rng = StdRng::from_rng(&mut rng);
        }
        let zero = Duration::ZERO;
        Self {
            config: config.clone(),
            rng,
            busy_until: zero,
            last_due: zero,
            counts: Counts::default(),
        }
    }

    /// Takes a datagram at `now` and says when it (and its copy, if any) arrives. `None`: never.
    pub(super) fn offer(&mut self, now: Duration, payload_bytes: u64, live: Live) -> [Option<Duration>; 2] {
        // The same draws for each datagram, so that one decision never shifts the next one's.
        let [lost, copied, held] =
            [live.loss, self.config.dup, self.config.reorder].map(|p| self.rng.random_bool(p));
        let jitter = [
            self.rng.random_range(-1.0..=1.0),
            self.rng.random_range(-1.0..=1.0),
        ];

        self.counts.sent(payload_bytes);
        let Some(sent) = self.transmit(now, payload_bytes + IP_UDP_HEADER_BYTES) else {
            self.counts.queue_full += 1;
            return [None, None];
        };
        if live.blackout
            || self
                .config
                .blackout
                .is_some_and(|blackout| blackout.is_dark(sent))
        {
            self.counts.dark += 1;
            return [None, None];
        }
        if lost {
            self.counts.lost += 1;
            return [None, None];
        }
        self.counts.reordered += u64::from(held);
        self.counts.duplicated += u64::from(copied);
        let first = self.due(sent, jitter[0], held);
        [Some(first), copied.then(|| self.due(sent, jitter[1], held))]
    }

    /// When the last bit has left, or `None` if the queue has no room.
    fn transmit(&mut self, now: Duration, ip_bytes: u64) -> Option<Duration> {
        let Some(rate_kbit) = self.config.rate_kbit else {
            return Some(now);
        };
        // bytes * 8 bits / (kbit/s * 1000) seconds = bytes * 8,000,000 / kbit nanoseconds
        let on_air =
            |bytes: u64| Duration::from_nanos(bytes.saturating_mul(8_000_000) / u64::from(rate_kbit));
        let backlog = self.busy_until.saturating_sub(now);
        if backlog + on_air(ip_bytes) > on_air(QUEUE_BYTES) {
            return None;
        }
        self.busy_until = self.busy_until.max(now) + on_air(ip_bytes);
        Some(self.busy_until)
    }

    /// When a datagram that left at `sent` arrives.
    fn due(&mut self, sent: Duration, jitter: f64, held: bool) -> Duration {
        let shift = self.config.jitter.mul_f64(jitter.abs());
        let on_time = sent + self.config.delay;
        let due = if jitter < 0.0 {
            on_time.saturating_sub(shift).max(sent)
        } else {
            on_time + shift
        };
        if held {
            return due.max(self.last_due) + REORDER_HOLD;
        }
        self.last_due = self.last_due.max(due);
        self.last_due
    }
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;

    use super::*;

    const LIVE: Live = Live {
        loss: 0.0,
        blackout: false,
    };

    fn direction(change: impl FnOnce(&mut Config)) -> Direction {
        let mut config = Config::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        change(&mut config);
        Direction::new(&config, 0)
    }

    fn millis(ms: u64) -> Duration {
        Duration::from_millis(ms)
    }

    #[test]
    fn a_perfect_link_delivers_each_datagram_once_after_its_delay() {
        let mut link = direction(|c| c.delay = millis(300));
        assert_eq!(link.offer(millis(5), 100, LIVE), [Some(millis(305)), None]);
        assert_eq!(
            (link.counts.datagrams, link.counts.udp_bytes, link.counts.ip_bytes),
            (1, 100, 128)
        );
    }

    #[test]
    fn loss_duplication_and_reordering_happen_as_often_as_asked() {
        let mut link = direction(|c| (c.dup, c.reorder) = (0.1, 0.05));
        for i in 0..20_000 {
            link.offer(
                millis(i),
                100,
                Live {
                    loss: 0.02,
                    blackout: false,
                },
            );
        }
        let counts = link.counts;
        assert!((300..500).contains(&counts.lost), "2 % of 20,000: {counts:?}");
        assert!(
            (1_800..2_200).contains(&counts.duplicated),
            "10 % of what was not lost: {counts:?}"
        );
        assert!(
            (850..1_150).contains(&counts.reordered),
            "5 % of what was not lost: {counts:?}"
        );
    }

    #[test]
    fn the_same_seed_gives_the_same_fate_and_another_seed_another() {
        let fate = |seed| {
            let mut link = direction(|c| (c.seed, c.dup, c.reorder, c.jitter) = (seed, 0.2, 0.2, millis(3)));
            (0..200)
                .map(|i| link.offer(millis(i), 100, Live { loss: 0.2, ..LIVE }))
                .collect::<Vec<_>>()
        };
        assert_eq!(fate(7), fate(7));
        assert_ne!(fate(7), fate(8));
    }

    #[test]
    fn the_two_directions_of_a_link_do_not_lose_the_same_datagrams() {
        let config = Config::new(SocketAddr::from(([127, 0, 0, 1], 1)));
        let fate = |stream| {
            let mut link = Direction::new(&config, stream);
            (0..200)
                .map(|i| link.offer(millis(i), 1, Live { loss: 0.5, ..LIVE })[0].is_some())
                .collect::<Vec<_>>()
        };
        assert_ne!(fate(0), fate(1));
    }

    #[test]
    fn jitter_stays_within_its_bound_and_keeps_the_order() {
        let mut link = direction(|c| (c.delay, c.jitter) = (millis(50), millis(5)));
        let mut last = Duration::ZERO;
        let mut delays = Vec::new();
        for i in 0..1_000 {
            let sent = millis(i * 20);
            let due = link.offer(sent, 100, LIVE)[0].unwrap();
            assert!(due >= last);
            last = due;
            delays.push(due - sent);
        }
        assert!(delays.iter().all(|d| (millis(45)..=millis(55)).contains(d)));
        assert!(delays.iter().any(|d| *d < millis(47)) && delays.iter().any(|d| *d > millis(53)));
    }

    #[test]
    fn a_reordered_datagram_is_overtaken_by_the_next() {
        let mut link = direction(|c| c.reorder = 1.0);
        let held = link.offer(millis(0), 100, LIVE)[0].unwrap();
        link.config.reorder = 0.0;
        let next = link.offer(millis(1), 100, LIVE)[0].unwrap();
        assert!(next < held);
    }

    #[test]
    fn the_rate_spaces_datagrams_and_the_queue_holds_so_much_and_no_more() {
        // 1,000 IP bytes at 8 kbit/s: one second each.
        let mut link = direction(|c| c.rate_kbit = Some(8));
        assert_eq!(link.offer(Duration::ZERO, 972, LIVE)[0], Some(millis(1_000)));
        assert_eq!(link.offer(Duration::ZERO, 972, LIVE)[0], Some(millis(2_000)));
        let fits = QUEUE_BYTES / 1_000;
        for _ in 2..fits {
            assert!(link.offer(Duration::ZERO, 972, LIVE)[0].is_some());
        }
        assert_eq!(link.offer(Duration::ZERO, 972, LIVE), [None, None]);
        assert_eq!(link.counts.queue_full, 1);
        // One second later one more fits.
        assert!(link.offer(millis(1_000), 972, LIVE)[0].is_some());
    }

    #[test]
    fn a_dark_link_delivers_nothing_and_counts_it() {
        let mut link = direction(|c| c.blackout = "every=10s,for=4s".parse().ok());
        assert!(link.offer(millis(5_999), 1, LIVE)[0].is_some());
        assert!(link.offer(millis(6_000), 1, LIVE)[0].is_none());
        assert!(link.offer(millis(10_000), 1, LIVE)[0].is_some());
        assert!(
            link.offer(
                millis(10_001),
                1,
                Live {
                    blackout: true,
                    ..LIVE
                }
            )[0]
            .is_none()
        );
        assert_eq!(link.counts.dark, 2);
    }
}
