//! What is logged while history's server is down: a line when it begins and a line when it ends, whatever the number of
//! reports and connections in between. A file of its own, because the log of a process is one.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    dead_code,
    reason = "a test fails by panicking, and this one needs only some of what it shares"
)]

#[path = "postgres_history/server.rs"]
mod server;
#[path = "../../../gateway/tests/store_values/mod.rs"]
mod store_values;

use std::{
    io,
    sync::{Arc, Mutex},
};

use anyhow::Result;
use apollo_gateway_core::store::StoreReply;
use nix::sys::signal::Signal;
use server::{Server, appended, rows};
use store_values::append;

/// Where log lines go.
#[derive(Clone, Default)]
struct Lines(Arc<Mutex<Vec<u8>>>);

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// P-05. Libraries are heard as well: what they warn of would fill the log just as much.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p05_a_server_that_is_down_is_one_line_when_it_begins_and_one_when_it_ends() -> Result<()> {
    const DEVICES: u64 = 50;
    let Some(mut server) = Server::start("the log of an outage")? else {
        return Ok(());
    };
    let log = Lines::default();
    let writer = log.clone();
    tracing_subscriber::fmt()
        .with_ansi(false)
        .with_writer(move || writer.clone())
        .init();
    let history = server.replica().await?;
    let from_all = async |sequence| {
        let mut steps = tokio::task::JoinSet::new();
        for device in 0..DEVICES {
            let history = history.clone();
            let request = append(&format!("buoy-{device}"), 1, rows([sequence]));
            steps.spawn(async move { history.execute(request).await });
        }
        steps.join_all().await
    };
    for reply in from_all(1).await {
        appended(reply);
    }
    server.postgres.stop(Signal::SIGINT)?;
    for _ in 0..3 {
        for reply in from_all(2).await {
            assert_eq!(reply, StoreReply::Unavailable { retry_after: None });
        }
    }
    server.postgres.start_again()?;
    for reply in from_all(2).await {
        appended(reply);
    }
    let text = String::from_utf8(log.0.lock().unwrap().clone())?;
    let lines: Vec<&str> = text.lines().collect();
    assert_eq!(lines.len(), 2, "{text}");
    assert!(
        lines[0].contains("ERROR") && lines[0].contains("history fails"),
        "{text}"
    );
    assert!(
        lines[0].contains("steps=\"requests\"") && lines[0].contains("error="),
        "{text}"
    );
    assert!(
        lines[1].contains("INFO") && lines[1].contains("history works again"),
        "{text}"
    );
    Ok(())
}
