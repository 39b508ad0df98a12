//! Precedence, and everything that is wrong at once.

use super::*;

const REQUIRED: [(&str, &str); 4] = [
    ("gateway", "https://gateway:4433"),
    ("ca", "ca.pem"),
    ("cert", "device.pem"),
    ("key", "device.key"),
];

fn flags(more: &[(&'static str, &str)]) -> Layer {
    let given = REQUIRED
        .iter()
        .chain(more)
        .map(|(name, value)| (*name, vec![(*value).to_owned()]));
    layers::flags(given)
}

fn variables(given: &[(&str, &str)]) -> Vec<(String, String)> {
    given
        .iter()
        .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
        .collect()
}

fn problems(resolved: Resolved) -> String {
    resolved.validate().unwrap_err().to_string()
}

#[test]
fn what_is_not_written_has_its_default() {
    let config = Resolved::new(flags(&[]), [], None).validate().unwrap();
    assert_eq!(config.sync_interval, Duration::from_secs(30));
    assert_eq!(config.heartbeat, Duration::from_secs(60));
    assert_eq!(config.queue, QueueLimits::default());
    assert_eq!(
        (config.metrics_listen, config.log_format),
        (None, LogFormat::Text)
    );
}

#[test]
fn a_flag_wins_over_the_environment_that_over_the_file_and_that_over_the_default() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(
        &path,
        "sync-interval = '3s'\nheartbeat = '4s'\nqueue-max-rows = 5\n",
    )
    .unwrap();
    let variables = variables(&[
        ("APOLLO_AGENT_SYNC_INTERVAL", "2s"),
        ("APOLLO_AGENT_HEARTBEAT", "5s"),
    ]);
    let resolved = Resolved::new(flags(&[("sync-interval", "1s")]), variables, Some(&path));
    let printed = resolved.to_toml();
    let config = resolved.validate().unwrap();
    assert_eq!(config.sync_interval, Duration::from_secs(1));
    assert_eq!(config.heartbeat, Duration::from_secs(5));
    assert_eq!(config.queue.max_rows, 5);
    for line in [
        "sync-interval = \"1s\"  # --sync-interval",
        "heartbeat = \"5s\"  # APOLLO_AGENT_HEARTBEAT",
        "queue-max-bytes = \"64MiB\"  # default",
        "# metrics-listen is not set",
    ] {
        assert!(
            printed.lines().any(|printed| printed == line),
            "{line} is not in\n{printed}"
        );
    }
    assert!(printed.contains(&format!("queue-max-rows = \"5\"  # {}", path.display())));
}

#[test]
fn what_is_printed_can_be_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    let resolved = Resolved::new(flags(&[("queue-max-bytes", "1GiB")]), [], None);
    std::fs::write(&path, resolved.to_toml()).unwrap();
    let again = Resolved::new(Layer::new(), [], Some(&path)).validate().unwrap();
    assert_eq!(again, resolved.validate().unwrap());
}

#[test]
fn gateways_keep_their_order_in_every_layer() {
    let listed = ["https://a:1", "https://b:2"];
    let variables = variables(&[("APOLLO_AGENT_GATEWAY", "https://a:1, https://b:2")]);
    let mut flags = flags(&[]);
    flags.remove("gateway");
    let config = Resolved::new(flags, variables, None).validate().unwrap();
    assert_eq!(
        config
            .gateways
            .iter()
            .map(ToString::to_string)
            .collect::<Vec<_>>(),
        listed
    );
}

#[test]
fn every_problem_is_told_at_once_with_where_it_is() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("agent.toml");
    std::fs::write(&path, "heartbeat = 'soon'\nhartbeat = '1s'\nkey = ['a']\n").unwrap();
    let variables = variables(&[
        ("APOLLO_AGENT_QUEUE_MAX_ROWS", "0"),
        ("APOLLO_AGENT_QUEUE_ROWS", "1"),
        ("APOLLO_AGENT_LOG", "debug"),
        ("HOME", "/"),
    ]);
    let flags = layers::flags([("gateway", vec!["http://g".to_owned(), "https://g:1".to_owned()])]);
    let text = problems(Resolved::new(flags, variables, Some(&path)));
    for part in [
        "--gateway: gateway \"http://g\"",
        "--ca is required",
        "--cert is required",
        "agent.toml: key: expected a text",
        "agent.toml: heartbeat \"soon\": expected a duration",
        "agent.toml: hartbeat: there is no such setting",
        "APOLLO_AGENT_QUEUE_MAX_ROWS: queue-max-rows \"0\": expected a whole number from 1",
        "APOLLO_AGENT_QUEUE_ROWS: there is no such setting",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    assert!(
        !text.contains("APOLLO_AGENT_LOG") && !text.contains("HOME"),
        "{text}"
    );
}

#[test]
fn limits_hold_at_their_ends_and_not_one_past() {
    let accepted = |name, value| {
        Resolved::new(flags(&[(name, value)]), [], None)
            .validate()
            .is_ok()
    };
    assert!(accepted("heartbeat", "100ms") && !accepted("heartbeat", "99ms"));
    assert!(accepted("heartbeat", "30days") && !accepted("heartbeat", "30days 1ms"));
    assert!(accepted("queue-max-bytes", "1B") && !accepted("queue-max-bytes", "0"));
    let gateways = |count: usize| {
        let mut flags = flags(&[]);
        let values = vec!["https://g:1".to_owned(); count];
        flags.extend(layers::flags([("gateway", values)]));
        Resolved::new(flags, [], None).validate().is_ok()
    };
    assert!(gateways(8) && !gateways(9));
}

#[test]
fn a_file_that_cannot_be_used_is_told_by_name() {
    let dir = tempfile::tempdir().unwrap();
    let absent = dir.path().join("absent.toml");
    assert!(problems(Resolved::new(flags(&[]), [], Some(&absent))).contains("absent.toml: cannot read it"));
    let broken = dir.path().join("broken.toml");
    std::fs::write(&broken, "heartbeat = ").unwrap();
    assert!(problems(Resolved::new(flags(&[]), [], Some(&broken))).contains("broken.toml: it is not TOML"));
}
