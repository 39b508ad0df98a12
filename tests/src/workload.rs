//! A seeded stream of observations such as a device with six supervised processes makes: samples and probes most of
//! the time, now and then a crash or a wait for a dependency.
//!
//! `APOLLO_WORKLOAD=FILE` replaces it with recorded NDJSON.

use apollo_wire::{Observation, ProcessRef, ProcessState, SpecHash, UnixMillis};
use rand::{Rng, SeedableRng, rngs::StdRng};

/// Names a file of NDJSON to use in place of generated observations.
pub const ENV_WORKLOAD: &str = "APOLLO_WORKLOAD";

/// The processes observations are about.
const PROCESSES: [&str; 6] = [
    "camera-0",
    "gnss",
    "modem-mgr",
    "motor-ctl",
    "telemetryd",
    "updater",
];
/// A process gets a new spec once in this many observations on average.
const SPEC_CHANGE_ONE_IN: u32 = 100;
/// Mean time between two observations, milliseconds: 20 s, so that 10,000 of them span two days.
const MEAN_INTERVAL_MS: f64 = 20_000.0;

/// `count` observations with sequences from 1, the last one seen at or before `end`.
pub fn generate(seed: u64, count: u32, end: UnixMillis) -> anyhow::Result<Vec<Observation>> {
    let mut rng = StdRng::seed_from_u64(seed);
    let mut specs = PROCESSES.map(|_| SpecHash(rng.random()));
    let mut observations = Vec::new();
    let mut since_start_ms = 0;
    for seq in 1..=u64::from(count) {
        since_start_ms += interval_ms(&mut rng);
        let index = rng.random_range(0..PROCESSES.len());
        let (Some(name), Some(spec)) = (PROCESSES.get(index), specs.get_mut(index)) else {
            continue;
        };
        if rng.random_ratio(1, SPEC_CHANGE_ONE_IN) {
            *spec = SpecHash(rng.random());
        }
        let process = ProcessRef::new("default", name)?;
        let mut observation = Observation::new(seq, process, UnixMillis::saturating(since_start_ms));
        observation.spec_hash = Some(*spec);
        describe(&mut rng, &mut observation);
        observations.push(observation);
    }
    // Times were relative to the start; the last one is at the end.
    for observation in &mut observations {
        observation.observed_at = end.plus(observation.observed_at.get() - since_start_ms);
    }
    Ok(observations)
}

/// Exponentially distributed, as independent events are; at least a millisecond.
#[expect(
    clippy::cast_possible_truncation,
    reason = "at most 40 times the mean: -ln of the smallest positive f64 / 2^53"
)]
fn interval_ms(rng: &mut StdRng) -> i64 {
    let uniform: f64 = rng.random_range(f64::EPSILON..1.0);
    (-uniform.ln() * MEAN_INTERVAL_MS) as i64 + 1
}

/// What happened, in the shares seen on devices: 50 % samples, 30 % probes, 10 % each of the troubles.
fn describe(rng: &mut StdRng, observation: &mut Observation) {
    let (state, reason, message) = match rng.random_range(0..10) {
        0..5 => {
            let (rss_kib, cpu) = (rng.random_range(2_000..65_000), rng.random_range(0.0..30.0));
            (
                ProcessState::Running,
                "Sample",
                format!("running, rss={rss_kib} KiB cpu={cpu:.1}%"),
            )
        }
        5..8 => {
            let (ms, load) = (rng.random_range(5..200), rng.random_range(0.0..30.0));
            (
                ProcessState::Running,
                "ProbeOK",
                format!("probe ok in {ms} ms, load {load:.2}"),
            )
        }
        8 => {
            let (tries, seconds) = (rng.random_range(1..100), rng.random_range(0.0..30.0));
            let message = format!("waiting for dependency, try {tries}, {seconds:.1}s");
            (ProcessState::Pending, "WaitingForDependency", message)
        }
        _ => {
            let (code, seconds) = (rng.random_range(1..200), rng.random_range(0.0..30.0));
            let message = format!("restarted, exit code {code}, backoff {seconds:.1}s");
            (ProcessState::Backoff, "CrashLoop", message)
        }
    };
    observation.state = Some(state);
    observation.reason = reason.to_owned();
    observation.message = message;
}

/// The recorded file if [`ENV_WORKLOAD`] names one, else `count` generated observations up to now.
pub fn load(seed: u64, count: u32) -> anyhow::Result<Vec<Observation>> {
    match std::env::var_os(ENV_WORKLOAD) {
        Some(path) => {
            let text = std::fs::read_to_string(path)?;
            Ok(text.lines().map(serde_json::from_str).collect::<Result<_, _>>()?)
        }
        None => generate(
            seed,
            count,
            UnixMillis::new(jiff::Timestamp::now().as_millisecond())?,
        ),
    }
}

/// One JSON object per line, as `observe --stdin` reads it.
pub fn ndjson(observations: &[Observation]) -> anyhow::Result<String> {
    let mut text = String::new();
    for observation in observations {
        text += &serde_json::to_string(observation)?;
        text.push('\n');
    }
    Ok(text)
}

/// A DeviceProcess of `device` for each process the observations are about, as YAML.
pub fn device_processes(observations: &[Observation], device: &str) -> String {
    let names: std::collections::BTreeSet<_> = observations.iter().map(|o| o.process.name()).collect();
    names
        .into_iter()
        .map(|name| device_process(name, device))
        .collect()
}

/// A DeviceProcess `default/name` bound to `device`, as a YAML document.
pub fn device_process(name: &str, device: &str) -> String {
    format!(
        "---\napiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\n\
         metadata: {{name: {name}, namespace: default}}\n\
         spec: {{deviceRef: {{name: {device}}}, command: [/bin/sleep, infinity]}}\n"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_gives_the_same_observations_within_the_contract() {
        let end = UnixMillis::new(1_800_000_000_000).unwrap();
        let observations = generate(1, 2_000, end).unwrap();
        assert_eq!(observations, generate(1, 2_000, end).unwrap());
        assert_ne!(observations, generate(2, 2_000, end).unwrap());
        assert!(
            observations
                .iter()
                .all(|o| o.check().is_ok() && o.observed_at <= end)
        );
        assert!(observations.is_sorted_by(|a, b| a.seq < b.seq && a.observed_at < b.observed_at));
        let processes: std::collections::BTreeSet<_> =
            observations.iter().map(|o| o.process.clone()).collect();
        assert_eq!(processes.len(), PROCESSES.len());
    }
}
