//! A plan from a seed.

use rand::{Rng, SeedableRng, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;

use super::{Action, Disturbance, Millis, Plan, Restart, Sizes, StoreFault, Timed};

const SECOND: Millis = 1_000;
const MINUTE: Millis = 60 * SECOND;
const HOUR: Millis = 60 * MINUTE;

/// Most machines: devices and clones. What goes wrong between two goes wrong between more.
pub const MACHINES_MAX: usize = 5;

/// What plans say of queues has a source of chance of its own: without it, a plan is what it was before there were any.
/// The world's own streams come before it.
const QUEUES: u64 = 6;

/// Makes the plan of a seed. The same seed makes the same plan as long as this function is not changed; a plan worth
/// keeping is kept as JSON.
pub fn generate(seed: u64) -> Plan {
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    let mut world = sizes(&mut random);
    let mut actions = beginning(&mut random, &world);
    let mood = Mood::draw(&mut random);
    for _ in 0..random.random_range(5..60) {
        let at_ms = random.random_range(0..world.busy_ms);
        let action = work(&mut random);
        actions.push(Timed { at_ms, action });
    }
    for _ in 0..mood.faults(&mut random) {
        let at_ms = random.random_range(0..world.busy_ms);
        let action = mood.fault(&mut random, world.busy_ms - at_ms);
        actions.push(Timed { at_ms, action });
    }
    let mut random = ChaCha8Rng::seed_from_u64(seed);
    random.set_stream(QUEUES);
    if random.random_bool(0.4) {
        world.queued_writes = true;
        actions.extend(busy_api_server(&mut random, &world));
    }
    actions.sort_by_key(|timed| timed.at_ms);
    Plan { seed, world, actions }
}

fn sizes(random: &mut ChaCha8Rng) -> Sizes {
    let mut pick = |from: &[u64]| from.choose(random).copied().unwrap_or_default();
    let size = |picked: u64| usize::try_from(picked).unwrap_or(usize::MAX);
    Sizes {
        devices: size(pick(&[1, 1, 2, 3])),
        replicas: size(pick(&[1, 2, 2, 3])),
        processes: size(pick(&[1, 2, 3, 5])),
        busy_ms: pick(&[10 * MINUTE, 30 * MINUTE, HOUR, HOUR, 3 * HOUR]),
        sync_interval_s: pick(&[5, 30, 30]),
        heartbeat_s: pick(&[30, 60, 60, 900]),
        queue_rows: pick(&[6, 20, 100, 1_000]),
        batch_rows: u32::try_from(pick(&[2, 5, 1_000])).unwrap_or(1),
        max_body_bytes: size(pick(&[300, 1 << 20, 1 << 20])),
        max_age_s: pick(&[HOUR / SECOND, 400 * 24 * 3_600]),
        instances_kept: size(pick(&[2, 64, 64])),
        manual_registration: pick(&[0, 0, 0, 1]) == 1,
        cached_reads: pick(&[0, 1]) == 1,
        queued_writes: false,
    }
}

/// What makes writes meet in a queue: an API server that says 429 or is slow, another controller, and reports that come
/// twice at once.
fn busy_api_server(random: &mut ChaCha8Rng, world: &Sizes) -> Vec<Timed> {
    let trouble = |random: &mut ChaCha8Rng| {
        let at_ms = random.random_range(0..world.busy_ms);
        let percent = *[5, 30, 80].choose(random).unwrap_or(&30);
        let what = match random.random_range(0..4) {
            0 => Disturbance::Duplication {
                percent,
                late_ms: short(random).min(2 * SECOND),
            },
            fault => Disturbance::Store {
                replica: random.random_bool(0.5).then(|| any(random)),
                fault: match fault {
                    1 => StoreFault::Slow,
                    _ => StoreFault::TooMany,
                },
                percent,
            },
        };
        let for_ms = long(random).min(world.busy_ms - at_ms);
        let action = Action::Disturb { for_ms, what };
        Timed { at_ms, action }
    };
    let others = |random: &mut ChaCha8Rng| Timed {
        at_ms: random.random_range(0..world.busy_ms),
        action: Action::ForeignWrite,
    };
    let times = random.random_range(0..8);
    let mut actions: Vec<Timed> = (0..times).map(|_| trouble(random)).collect();
    let times = random.random_range(0..60);
    actions.extend((0..times).map(|_| others(random)));
    if world.devices > 1 {
        actions.extend(moves(random, world));
    }
    actions
}

/// Minutes in which an operator moves processes to and fro between devices that have much to say, while the API server
/// is slow: what waits for it may be about a process that is bound elsewhere by now.
fn moves(random: &mut ChaCha8Rng, world: &Sizes) -> Vec<Timed> {
    let from_ms = random.random_range(0..world.busy_ms);
    let for_ms = (5 * MINUTE).min(world.busy_ms - from_ms);
    let what = Disturbance::Store {
        replica: None,
        fault: StoreFault::Slow,
        percent: 10,
    };
    let action = Action::Disturb { for_ms, what };
    let mut actions = vec![Timed {
        at_ms: from_ms,
        action,
    }];
    for _ in 0..random.random_range(0..80) {
        let at_ms = from_ms + random.random_range(0..for_ms);
        let (process, device, machine) = (any(random), any(random), any(random));
        let action = if random.random_bool(0.5) {
            apply(random, process, device)
        } else {
            let (count, age_s) = (random.random_range(1..4), 0);
            Action::Observe {
                machine,
                process,
                count,
                age_s,
            }
        };
        actions.push(Timed { at_ms, action });
    }
    actions
}

/// What is there when the world begins: most processes, and with manual registration the devices.
fn beginning(random: &mut ChaCha8Rng, world: &Sizes) -> Vec<Timed> {
    let at_ms = 0;
    let mut actions = Vec::new();
    for process in 0..world.processes {
        if random.random_bool(0.85) {
            let device = random.random_range(0..world.devices);
            let action = apply(random, process, device);
            actions.push(Timed { at_ms, action });
        }
    }
    for device in 0..world.devices {
        if world.manual_registration && random.random_bool(0.7) {
            let action = Action::SetDevice {
                device,
                blocked: false,
                stale_after_s: None,
            };
            actions.push(Timed { at_ms, action });
        }
    }
    actions
}

fn apply(random: &mut ChaCha8Rng, process: usize, device: usize) -> Action {
    let policies = [
        Restart::Always,
        Restart::Always,
        Restart::OnFailure,
        Restart::Never,
    ];
    Action::Apply {
        process,
        device,
        variant: random.random_range(0..4),
        restart: policies.choose(random).copied().unwrap_or(Restart::Always),
        suspend: random.random_bool(0.1),
    }
}

/// Something that people and scripts do.
fn work(random: &mut ChaCha8Rng) -> Action {
    let (process, device, machine) = (any(random), any(random), any(random));
    match random.random_range(0..100) {
        0..55 => Action::Observe {
            machine,
            process,
            count: random.random_range(1..12),
            age_s: *[0, 0, 0, 60, 7_200, -30, -4_000].choose(random).unwrap_or(&0),
        },
        55..75 => apply(random, process, device),
        75..82 => Action::Delete { process },
        82..88 => Action::SetDevice {
            device,
            blocked: random.random_bool(0.5),
            stale_after_s: *[None, Some(30), Some(600)].choose(random).unwrap_or(&None),
        },
        88..90 => Action::DeleteDevice { device },
        90..94 => Action::ForeignWrite,
        94..96 => Action::Purge { machine },
        _ => Action::Requeue { machine },
    }
}

/// Any position; it counts modulo how many there are.
fn any(random: &mut ChaCha8Rng) -> usize {
    random.random_range(0..60)
}

/// What kind of trouble a history is about: a little of everything hides what a lot of one thing shows.
struct Mood {
    weights: [u32; KINDS],
    many: bool,
}

/// Kinds of fault: those of [`Mood::fault`].
const KINDS: usize = 16;

impl Mood {
    fn draw(random: &mut ChaCha8Rng) -> Self {
        let mut weights = [1; KINDS];
        for _ in 0..random.random_range(0..4) {
            weights[random.random_range(0..KINDS)] += 12;
        }
        Self {
            weights,
            many: random.random_bool(0.3),
        }
    }

    fn faults(&self, random: &mut ChaCha8Rng) -> usize {
        match self.many {
            true => random.random_range(15..50),
            false => random.random_range(0..12),
        }
    }

    fn kind(&self, random: &mut ChaCha8Rng) -> usize {
        let mut left = random.random_range(0..self.weights.iter().sum::<u32>());
        for (kind, weight) in self.weights.iter().enumerate() {
            match left.checked_sub(*weight) {
                Some(rest) => left = rest,
                None => return kind,
            }
        }
        0
    }

    fn fault(&self, random: &mut ChaCha8Rng, left_ms: Millis) -> Action {
        let (machine, replica) = (any(random), any(random));
        let off_ms = short(random);
        match self.kind(random) {
            0 => Action::TakeImage { machine },
            1 => Action::RollBack { machine, off_ms },
            2 => Action::Clone { machine },
            3 => Action::KillAgent { machine, off_ms },
            4 => Action::StopAgent { machine, off_ms },
            5 => Action::CutPower {
                machine,
                off_ms,
                clock_lost: random.random_bool(0.5),
            },
            6 => Action::StepClock {
                machine,
                by_s: *[-100_000, -400, -20, 20, 400, 5_000, 100_000]
                    .choose(random)
                    .unwrap_or(&0),
                synced: random.random_bool(0.7),
            },
            7 => Action::SkewGateway {
                replica,
                by_s: random.random_range(-90..90),
            },
            8 => Action::KillGateway { replica, off_ms },
            9 => Action::EndWatch { replica },
            10 if random.random_bool(0.1) => Action::SwitchOff { machine },
            10 => Action::DamageRow {
                machine,
                row: any(random),
            },
            kind => Action::Disturb {
                for_ms: long(random).min(left_ms),
                what: disturbance(random, kind, machine, replica),
            },
        }
    }
}

fn disturbance(random: &mut ChaCha8Rng, kind: usize, machine: usize, replica: usize) -> Disturbance {
    let percent = *[5, 30, 80].choose(random).unwrap_or(&30);
    let one_or_all = random.random_bool(0.5).then_some(machine);
    match (kind, random.random_range(0..4)) {
        (11, 0) => Disturbance::Loss {
            machine: one_or_all,
            percent,
        },
        (11, 1) => Disturbance::Duplication {
            percent,
            // Later than a device's patience lasts, a recorded report would make a dead device look alive.
            late_ms: long(random).min(10 * MINUTE),
        },
        (11, _) => Disturbance::Delay {
            machine: one_or_all,
            up_to_ms: short(random),
        },
        (12, 0) => Disturbance::Partition {
            machine,
            replica,
            up: true,
            down: random.random_bool(0.5),
        },
        (12, 1) => Disturbance::Partition {
            machine,
            replica,
            up: false,
            down: true,
        },
        (12, _) => Disturbance::Blackout { machine },
        (13, 0..2) => Disturbance::DiskFull { machine },
        (13, 2) => Disturbance::CrashLoop { machine },
        (13, _) => Disturbance::DiskSlow {
            machine,
            up_to_ms: short(random),
        },
        (14, 0) => Disturbance::SpawnFails { machine },
        (14, _) => Disturbance::WatchLag {
            up_to_ms: short(random),
        },
        (_, fault) => Disturbance::Store {
            replica: random.random_bool(0.5).then_some(replica),
            fault: [
                StoreFault::Unavailable,
                StoreFault::LostReply,
                StoreFault::Slow,
                StoreFault::Conflict,
            ][fault],
            percent,
        },
    }
}

/// Up to a minute, mostly seconds.
fn short(random: &mut ChaCha8Rng) -> Millis {
    let most = *[SECOND, 10 * SECOND, MINUTE].choose(random).unwrap_or(&SECOND);
    random.random_range(1..most)
}

/// Up to hours, mostly minutes.
fn long(random: &mut ChaCha8Rng) -> Millis {
    let most = *[30 * SECOND, 5 * MINUTE, 30 * MINUTE, 2 * HOUR]
        .choose(random)
        .unwrap_or(&MINUTE);
    random.random_range(SECOND..most)
}
