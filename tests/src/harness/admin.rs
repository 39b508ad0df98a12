//! The gateway's admin port, read with the least HTTP there is.

use std::{
    io::{Read, Write},
    net::{SocketAddr, TcpStream},
};

use anyhow::Context;

use super::PATIENCE;

/// `GET path` over HTTP/1.1. Returns the status and the body.
pub(super) fn get(address: SocketAddr, path: &str) -> anyhow::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    // "Connection: close" lets the end of the stream be the end of the body.
    write!(
        stream,
        "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer
        .split_once("\r\n\r\n")
        .with_context(|| format!("no HTTP answer: {answer:?}"))?;
    let status = head.split(' ').nth(1).context("no status")?.parse()?;
    Ok((status, body.to_owned()))
}

/// What a program serves at `/metrics`.
pub fn metrics_text(address: SocketAddr) -> anyhow::Result<String> {
    let (status, text) = get(address, "/metrics")?;
    anyhow::ensure!(status == 200, "status {status}: {text}");
    Ok(text)
}

/// The sum of all samples of `name` whose labels contain `labels` (such as `code="304"`; empty for all) in Prometheus
/// text. 0 if there is none: a counter that never counted.
pub fn metric(text: &str, name: &str, labels: &str) -> f64 {
    let samples = text.lines().filter(|line| {
        let rest = line.strip_prefix(name);
        rest.is_some_and(|rest| rest.starts_with(['{', ' '])) && line.contains(labels)
    });
    samples
        .filter_map(|line| line.rsplit(' ').next()?.parse::<f64>().ok())
        .sum()
}
