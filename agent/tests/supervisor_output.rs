//! What children write never holds them up and never fills the disk.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

mod supervisor_bench;

use apollo_agent::supervisor::{LAST_OUTPUT_BYTES, LOG_FILE_BYTES};
use supervisor_bench::{Bench, is_alive, number_in, script};

#[tokio::test]
async fn endless_output_stays_within_two_files() {
    let mut bench = Bench::new();
    let bytes = LOG_FILE_BYTES * 5;
    bench.desire(&[("a", script(&format!("yes 0123456789 | head -c {bytes}; exit 1")))]);
    while bench.next_words().await != "a Failed Exited 1" {}
    let size = |name: &str| std::fs::metadata(bench.path(name)).unwrap().len();
    let (now, before) = (size("logs/default_a.log"), size("logs/default_a.log.1"));
    assert!(
        now <= LOG_FILE_BYTES && before <= LOG_FILE_BYTES,
        "{now} and {before}"
    );
    assert!(
        now + before >= LOG_FILE_BYTES,
        "what there is room for is kept: {now} and {before}"
    );
}

#[tokio::test]
async fn a_child_goes_on_where_its_log_cannot_be_written() {
    let mut bench = Bench::new();
    std::fs::create_dir(bench.path("logs/default_a.log")).unwrap();
    bench.desire(&[("a", script("yes | head -c 1000000; echo end; exit 1"))]);
    bench.next().await;
    assert_eq!(bench.next().await.message, "end");
}

#[tokio::test]
async fn a_message_is_the_last_line_cut_and_cleaned() {
    let mut bench = Bench::new();
    let long = "x".repeat(LAST_OUTPUT_BYTES + 1);
    for (name, text, expected) in [
        (
            "long",
            format!("echo {long}; exit 1"),
            "x".repeat(LAST_OUTPUT_BYTES),
        ),
        (
            "colour",
            r"printf 'first\n\033[31mred\033[0m\n\n'; exit 1".to_owned(),
            "[31mred[0m".to_owned(),
        ),
        (
            "unfinished",
            "echo line; printf rest; exit 1".to_owned(),
            "rest".to_owned(),
        ),
        ("silent", "exit 1".to_owned(), String::new()),
        (
            "binary",
            r"printf '\377\376'; exit 1".to_owned(),
            "\u{fffd}\u{fffd}".to_owned(),
        ),
    ] {
        bench.desire(&[(name, script(&text))]);
        let mut said = bench.next().await;
        while (said.process.name(), said.reason.as_str()) != (name, "Exited") {
            said = bench.next().await;
        }
        assert_eq!(said.message, expected, "{name}");
    }
}

#[tokio::test]
async fn a_process_that_left_the_group_does_not_hold_up_the_end_of_its_run() {
    let mut bench = Bench::new();
    // It keeps the pipe open from a session of its own, where no signal to the group reaches it.
    let text =
        "setsid sh -c 'echo $$ > escaped; exec sleep 1000' & while [ ! -s escaped ]; do :; done; exit 4";
    bench.desire(&[("a", script(text))]);
    bench.next().await;
    let ended = bench.next_words().await;
    let escaped = number_in(&bench.path("escaped")).await;
    let was_alive = is_alive(escaped);
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(escaped.cast_signed()),
        nix::sys::signal::SIGKILL,
    )
    .unwrap();
    assert_eq!(ended, "a Failed Exited 4");
    assert!(was_alive, "it held the pipe open to the end");
}
