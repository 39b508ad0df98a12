//! Another writer of the same statuses: it owns a condition type of its own, and nobody else may touch that.

use std::{
    collections::BTreeMap,
    sync::atomic::{AtomicBool, Ordering},
    thread,
};

use anyhow::{Context, Result, bail, ensure};
use apollo_tests::harness::{
    PATIENCE, condition,
    kube::{KubeClient, KubeError, KubeWorld, Rule},
    wait,
};
use serde_json::{Value, json};

/// Its condition.
const KIND: &str = "Audited";
/// Its name, as user and as field manager.
const NAME: &str = "auditor";

/// What it has done.
#[derive(Debug, Default)]
pub(crate) struct Audit {
    /// The last condition that it wrote, by object.
    pub last: BTreeMap<String, Value>,
    /// Writes that were carried out.
    pub writes: usize,
    /// 409s that it met itself.
    pub conflicts: usize,
    /// Writes of which it was not told whether they were carried out.
    pub unknown: usize,
}

/// Its threads: one request may hang for as long as an outage.
const THREADS: usize = 4;

/// Flips its condition on the objects `names`, over and over again, until `stop`.
pub(crate) fn audit(world: &KubeWorld, names: &[String], stop: &AtomicBool) -> Result<Audit> {
    let rules = [
        Rule::new("get", "apollo.azure.com", "deviceprocesses"),
        Rule::new("patch", "apollo.azure.com", "deviceprocesses/status"),
    ];
    let client = world.api.client_of(NAME, &rules)?;
    let mut sum = Audit::default();
    thread::scope(|scope| -> Result<()> {
        let parts = names.chunks(names.len().div_ceil(THREADS));
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(|| audit_part(&client, part, stop)))
            .collect();
        for thread in threads {
            let audit = thread
                .join()
                .map_err(|_| anyhow::anyhow!("an auditor panicked"))??;
            sum.last.extend(audit.last);
            sum.writes += audit.writes;
            sum.conflicts += audit.conflicts;
            sum.unknown += audit.unknown;
        }
        Ok(())
    })?;
    sum.check(world, names)?;
    Ok(sum)
}

fn audit_part(client: &KubeClient, names: &[String], stop: &AtomicBool) -> Result<Audit> {
    let mut audit = Audit::default();
    for (number, name) in names.iter().cycle().enumerate() {
        if stop.load(Ordering::Relaxed) {
            break;
        }
        audit.flip(client, name, number).with_context(|| name.clone())?;
    }
    Ok(audit)
}

impl Audit {
    /// Every object says what was last written to it.
    fn check(&self, world: &KubeWorld, names: &[String]) -> Result<()> {
        for name in names {
            let found = condition(&world.status(name)?, KIND);
            let expected = self.last.get(name).cloned().unwrap_or_default();
            ensure!(found == expected, "{name}: {found} in place of {expected}");
        }
        Ok(())
    }

    /// Writes the next condition of one object: by turns as a merge patch of the whole list, on the version that was
    /// read, and by server-side apply.
    fn flip(&mut self, client: &KubeClient, name: &str, number: usize) -> Result<()> {
        let next = json!({
            "type": KIND, "status": if number.is_multiple_of(2) { "True" } else { "False" }, "reason": "Round",
            "message": format!("round {number}"), "lastTransitionTime": "2026-01-01T00:00:00Z",
        });
        wait::until_true("a condition to be written", PATIENCE * 2, || {
            let object = match client.get(KubeWorld::PROCESSES, name) {
                Ok(object) => object,
                Err(error) if is_outage(&error) => return Ok(false),
                Err(error) => bail!(error),
            };
            let found = condition(&object["status"], KIND);
            if found == next {
                // Carried out by a request that had no answer.
                self.last.insert(name.to_owned(), found);
                return Ok(true);
            }
            let expected = self.last.get(name).cloned().unwrap_or_default();
            ensure!(found == expected, "{found} in place of {expected}");
            let written = if number.is_multiple_of(3) {
                let apply = json!({
                    "apiVersion": object["apiVersion"], "kind": object["kind"], "metadata": {"name": name},
                    "status": {"conditions": [next]},
                });
                client.apply_status(KubeWorld::PROCESSES, name, NAME, &apply)
            } else {
                let mut list = object["status"]["conditions"]
                    .as_array()
                    .cloned()
                    .unwrap_or_default();
                list.retain(|condition| condition["type"] != KIND);
                list.push(next.clone());
                let version = &object["metadata"]["resourceVersion"];
                let patch = json!({"metadata": {"resourceVersion": version}, "status": {"conditions": list}});
                client.merge_patch_status(KubeWorld::PROCESSES, name, &patch)
            };
            match written {
                Ok(_) => {
                    self.writes += 1;
                    self.last.insert(name.to_owned(), next.clone());
                    Ok(true)
                }
                Err(error) if error.code() == Some(409) => {
                    self.conflicts += 1;
                    Ok(false)
                }
                Err(error) if is_outage(&error) => {
                    self.unknown += 1;
                    Ok(false)
                }
                Err(error) => bail!(error),
            }
        })
    }
}

/// No answer, or one of a server that starts or has lost its etcd: before it knows its custom resources, their paths
/// are not found.
fn is_outage(error: &KubeError) -> bool {
    error
        .code()
        .is_none_or(|code| code >= 500 || code == 429 || code == 404)
}
