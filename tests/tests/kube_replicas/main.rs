//! Several gateways on a real API server, with the permissions of `deploy/`: who marks whom, what each permission is for,
//! and what becomes of writes that the API server asks to hold back.

mod liveness;
mod permissions;
mod throttled;

use anyhow::Result;
use apollo_tests::harness::{
    Device, Gateway, PATIENCE, condition,
    kube::{Kind, KubeWorld},
    skip, wait,
};
use serde_json::{Value, json};

/// Silence after which a device is not Connected: it is Lost a third later. Long enough for a report on a busy machine.
const STALE_AFTER: &str = "3s";

/// API server, Postgres and permissions; `None`, said loudly, if the machine cannot run the story.
fn world(story: &str, api_arguments: &[&str]) -> Result<Option<KubeWorld>> {
    if let Some(why) = KubeWorld::missing() {
        skip(story, &why)?;
        return Ok(None);
    }
    KubeWorld::with_api_arguments(api_arguments).map(Some)
}

/// A device in the test's hands, connected to one of the gateways.
fn device(world: &KubeWorld, name: &str, gateway: &Gateway) -> Result<Device> {
    Device::connect(gateway.udp(), &world.pki, Some(&world.pki.device(name)?))
}

/// Waits until the Device says this state.
fn until_state(world: &KubeWorld, device: &str, state: &str) -> Result<()> {
    wait::until_true(&format!("{device} to be {state}"), PATIENCE, || {
        Ok(world
            .device_status(device)
            .is_ok_and(|status| status["state"] == state))
    })
}

/// Waits until the process's AgentConnected has exactly these words.
fn until_agent(world: &KubeWorld, process: &str, words: [&str; 3]) -> Result<()> {
    wait::until_true(&format!("{process} to say {words:?}"), PATIENCE, || {
        let condition = condition(&world.status(process)?, "AgentConnected");
        Ok(["status", "reason", "message"].map(|field| condition[field].clone()) == words.map(Value::from))
    })
}

/// Changes the spec of a Device.
fn set_device_spec(world: &KubeWorld, device: &str, spec: &Value) -> Result<()> {
    let patch = json!({"spec": spec});
    world.api.client().merge_patch(Kind::DEVICES, device, &patch)?;
    Ok(())
}
