//! A third-party HTTP/3 client (aioquic) reports and polls in JSON, and misbehaves in every way the contract names.
//!
//! `tests/interop/aioquic_client.py` does the talking; `tests/run` installs aioquic into a virtual environment, named
//! by `APOLLO_PYTHON` (the interpreter in it).

use std::{path::PathBuf, process::Command};

use anyhow::{Context, Result, ensure};
use apollo_tests::harness::{Identity, PATIENCE, Running, World, observation, report, skip};
use serde_json::{Value, json};

/// The interpreter that has aioquic.
const ENV_PYTHON: &str = "APOLLO_PYTHON";
/// `--max-body` of these tests.
const MAX_BODY_BYTES: usize = 64 * 1024;

/// A gateway and what the client said and heard; `None` if there is no client.
struct Interop {
    world: World,
    python: PathBuf,
}

impl Interop {
    fn new(test: &str) -> Result<Option<Self>> {
        let Some(python) = std::env::var_os(ENV_PYTHON).map(PathBuf::from) else {
            skip(
                test,
                "APOLLO_PYTHON does not name a Python with aioquic (tests/run makes one)",
            )?;
            return Ok(None);
        };
        let world = World::new(&["--max-body", "64KiB"])?;
        world.bind("collector", "buoy-17")?;
        Ok(Some(Self { world, python }))
    }

    /// Performs `steps` on one connection.
    fn perform(&self, identity: Option<&Identity>, steps: &Value) -> Result<Vec<Value>> {
        let udp = self.world.gateway.udp();
        let mut command = Command::new(&self.python);
        command.arg(concat!(env!("CARGO_MANIFEST_DIR"), "/interop/aioquic_client.py"));
        command
            .arg(udp.ip().to_string())
            .arg(udp.port().to_string())
            .arg(self.world.pki.ca());
        if let Some(identity) = identity {
            command.arg(&identity.cert).arg(&identity.key);
        }
        let (logs, steps) = (self.world.sandbox.path(), steps.to_string());
        let done =
            Running::finish("aioquic", command, logs, Some(steps.as_bytes()), PATIENCE * 4)?.success()?;
        done.json()?.as_array().cloned().context("not an array")
    }

    fn as_device(&self, steps: &Value) -> Result<Vec<Value>> {
        self.perform(Some(&self.world.pki.device("buoy-17")?), steps)
    }

    /// Performs one bad request between two good ones and returns its answer: a bad one never ends the connection.
    fn bad(&self, step: Value) -> Result<Value> {
        let answers = self.as_device(&json!([post(&report(&[])), step, post(&report(&[]))]))?;
        ensure!(answers[0]["status"] == 200, "before: {answers:#?}");
        ensure!(
            answers[2]["status"] == 200,
            "the connection did not survive: {answers:#?}"
        );
        Ok(answers[1].clone())
    }

    /// As [`Self::bad`], and the answer must be a problem document with this status.
    fn problem(&self, status: u16, step: Value) -> Result<()> {
        let answer = self.bad(step.clone())?;
        ensure!(answer["status"] == status, "{step} was answered {answer:#}");
        ensure!(
            answer["headers"]["content-type"] == "application/problem+json",
            "{step} was answered {answer:#}"
        );
        let problem: Value = serde_json::from_str(answer["body"].as_str().context("no body")?)?;
        ensure!(
            problem["status"] == status && problem["title"].is_string(),
            "{problem}"
        );
        Ok(())
    }
}

fn post(report: &Value) -> Value {
    json!({"method": "POST", "path": "/v1/report", "headers": {"content-type": "application/json"},
           "body": report.to_string()})
}

#[test]
fn it_reports_and_polls_in_json() -> Result<()> {
    let Some(interop) = Interop::new("interop: report and poll")? else {
        return Ok(());
    };
    let poll = json!({"method": "GET", "path": "/v1/desired", "headers": {"accept": "application/json"}});
    let sent = report(&[observation(1, "collector", 5), observation(2, "collector", 0)]);
    let answers = interop.as_device(&json!([post(&sent), poll, post(&sent)]))?;

    let body = |answer: &Value| -> Result<Value> {
        Ok(serde_json::from_str(answer["body"].as_str().unwrap_or_default())?)
    };
    ensure!(answers[0]["status"] == 200, "{answers:#?}");
    let verdicts = body(&answers[0])?;
    assert_eq!(
        (&verdicts["epoch"], &verdicts["acked"], &verdicts["accepted"]),
        (&json!(1), &json!([[1, 2]]), &json!(2))
    );
    let again = body(&answers[2])?;
    assert_eq!(
        (&again["acked"], &again["accepted"], &again["duplicates"]),
        (&json!([[1, 2]]), &json!(0), &json!(2))
    );
    let desired = body(&answers[1])?;
    assert_eq!(
        (&desired["device"], &desired["processes"][0]["name"]),
        (&json!("buoy-17"), &json!("collector"))
    );
    let stored = interop.world.gateway.observations("buoy-17")?;
    assert_eq!(stored.len(), 2);
    assert_eq!(stored[0]["message"], sent["observations"][0]["message"]);

    let etag = &answers[1]["headers"]["etag"];
    let conditional = json!({"method": "GET", "path": "/v1/desired", "headers": {"if-none-match": etag}});
    let answers = interop.as_device(&json!([conditional]))?;
    assert_eq!(answers[0]["status"], 304);
    ensure!(
        answers[0]["body"].as_str().unwrap_or_default().is_empty(),
        "a 304 with a body: {answers:#?}"
    );
    Ok(())
}

#[test]
fn malformed_bodies_are_400() -> Result<()> {
    let Some(interop) = Interop::new("interop: malformed bodies")? else {
        return Ok(());
    };
    let whole = report(&[]).to_string();
    let cut = &whole[..whole.len() - 5];
    for body in [
        "{",
        "",
        "[]",
        "null",
        "\"text\"",
        "{}",
        cut,
        &format!("{whole}{whole}"),
    ] {
        interop.problem(
            400,
            json!({"method": "POST", "path": "/v1/report",
            "headers": {"content-type": "application/json"}, "body": body}),
        )?;
    }
    Ok(())
}

#[test]
fn wrong_types_are_400_for_the_report_and_a_verdict_for_one_observation() -> Result<()> {
    let Some(interop) = Interop::new("interop: wrong types")? else {
        return Ok(());
    };
    for (field, value) in [
        ("observations", json!("none")),
        ("instance", json!(17)),
        ("instance", json!("not-a-uuid")),
        ("sentAt", json!(1_700_000_000)),
        ("queue", json!("full")),
    ] {
        let mut wrong = report(&[]);
        wrong[field] = value;
        interop.problem(400, post(&wrong))?;
    }
    let mut odd = observation(2, "collector", 0);
    odd["restarts"] = json!("many");
    let answer = interop.bad(post(&report(&[observation(1, "collector", 0), odd])))?;
    ensure!(answer["status"] == 200, "{answer:#}");
    let verdicts: Value = serde_json::from_str(answer["body"].as_str().context("no body")?)?;
    assert_eq!(verdicts["acked"], json!([[1, 1]]));
    assert_eq!(
        (
            &verdicts["rejected"][0]["seq"],
            &verdicts["rejected"][0]["reason"]
        ),
        (&json!(2), &json!("Malformed"))
    );
    Ok(())
}

#[test]
fn oversized_bodies_are_413_announced_or_not() -> Result<()> {
    let Some(interop) = Interop::new("interop: oversized bodies")? else {
        return Ok(());
    };
    let headers = json!({"content-type": "application/json"});
    for (bytes, announced) in [
        (MAX_BODY_BYTES + 1, true),
        (MAX_BODY_BYTES + 1, false),
        (16 << 20, false),
        (16 << 20, true),
    ] {
        let mut step =
            json!({"method": "POST", "path": "/v1/report", "headers": headers, "body_bytes": bytes});
        if announced {
            step["content_length"] = json!(bytes);
        }
        interop.problem(413, step)?;
    }
    Ok(())
}

#[test]
fn truncated_bodies_change_nothing() -> Result<()> {
    let Some(interop) = Interop::new("interop: truncated bodies")? else {
        return Ok(());
    };
    // Ends early with a clean FIN although more was announced (RFC 9114, section 4.1.2: malformed).
    let mut short = post(&report(&[observation(1, "collector", 0)]));
    short["content_length"] = json!(short["body"].as_str().map_or(0, str::len) + 10);
    interop.problem(400, short)?;
    // Reset in the middle: nobody is there to answer.
    let mut reset = post(&report(&[observation(2, "collector", 0)]));
    reset["end"] = json!("reset");
    interop.bad(reset)?;
    assert_eq!(interop.world.gateway.observations("buoy-17")?.len(), 0);
    Ok(())
}

#[test]
fn wrong_methods_paths_and_media_types_are_named() -> Result<()> {
    let Some(interop) = Interop::new("interop: wrong requests")? else {
        return Ok(());
    };
    let body = report(&[]).to_string();
    interop.problem(405, json!({"method": "GET", "path": "/v1/report"}))?;
    interop.problem(405, json!({"method": "POST", "path": "/v1/desired", "headers": {"content-type": "application/json"}, "body": body}))?;
    interop.problem(404, json!({"method": "GET", "path": "/v2/desired"}))?;
    interop.problem(
        406,
        json!({"method": "GET", "path": "/v1/desired", "headers": {"accept": "text/html"}}),
    )?;
    interop.problem(415, json!({"method": "POST", "path": "/v1/report", "headers": {"content-type": "text/plain"}, "body": body}))
}

#[test]
fn without_a_client_certificate_nothing_is_served() -> Result<()> {
    let Some(interop) = Interop::new("interop: no certificate")? else {
        return Ok(());
    };
    let answers = interop.perform(None, &json!([post(&report(&[observation(1, "collector", 0)]))]))?;
    let refused = answers
        .iter()
        .any(|answer| answer["status"] == 401 || answer.get("connection_lost").is_some());
    ensure!(refused, "{answers:#?}");
    assert_eq!(interop.world.gateway.observations("buoy-17")?.len(), 0);
    Ok(())
}
