//! What most tests start from: certificates and a gateway that serves.

use std::net::SocketAddr;

use serde_json::{Value, json};

use super::{Agent, Device, Gateway, GatewayOptions, Identity, Pki, Sandbox};
use crate::workload::device_process;

/// A sandbox with a gateway. Fields in the order they must be dropped.
pub struct World {
    /// The gateway.
    pub gateway: Gateway,
    /// Its certificates.
    pub pki: Pki,
    /// Where everything is.
    pub sandbox: Sandbox,
}

impl World {
    /// A gateway with further arguments of `serve`.
    pub fn new(arguments: &[&str]) -> anyhow::Result<Self> {
        let sandbox = Sandbox::new()?;
        let pki = Pki::new(&sandbox)?;
        let gateway = Gateway::spawn(&sandbox, &pki, &GatewayOptions::default().with(arguments))?;
        Ok(Self {
            gateway,
            pki,
            sandbox,
        })
    }

    /// Applies a DeviceProcess `default/name` bound to `device`.
    pub fn bind(&self, name: &str, device: &str) -> anyhow::Result<()> {
        self.gateway.apply(&device_process(name, device)).map(drop)
    }

    /// Makes a device's certificate and connects with it.
    pub fn device(&self, name: &str) -> anyhow::Result<Device> {
        self.connect(&self.pki.device(name)?)
    }

    /// Connects once more with a certificate made before.
    pub fn connect(&self, identity: &Identity) -> anyhow::Result<Device> {
        Device::connect(self.gateway.udp(), &self.pki, Some(identity))
    }

    /// An agent that reaches the gateway directly.
    pub fn agent(&self, name: &str) -> anyhow::Result<Agent> {
        self.agent_through(name, self.gateway.udp())
    }

    /// An agent that reaches the gateway at another address: a link.
    pub fn agent_through(&self, name: &str, address: SocketAddr) -> anyhow::Result<Agent> {
        Ok(Agent::new(
            &self.sandbox,
            &self.pki,
            &self.pki.device(name)?,
            address,
        ))
    }

    /// The status of the DeviceProcess `default/name`.
    pub fn status(&self, name: &str) -> anyhow::Result<Value> {
        Ok(self.gateway.device_process(name)?["status"].clone())
    }

    /// The condition `kind` of the DeviceProcess `default/name`; `Null` if it has none.
    pub fn condition(&self, name: &str, kind: &str) -> anyhow::Result<Value> {
        Ok(condition(&self.status(name)?, kind))
    }
}

/// The condition `kind` in a status; `Null` if it has none.
pub fn condition(status: &Value, kind: &str) -> Value {
    let conditions = status["conditions"]
        .as_array()
        .map(Vec::as_slice)
        .unwrap_or_default();
    conditions
        .iter()
        .find(|condition| condition["type"] == kind)
        .cloned()
        .unwrap_or(Value::Null)
}

/// An instance id for tests that play a device themselves.
pub const INSTANCE: &str = "0192f7c4-0000-7000-8000-000000000001";

/// A report of `observations` sent now, in JSON.
pub fn report(observations: &[Value]) -> Value {
    json!({"instance": INSTANCE, "sentAt": now(0), "observations": observations})
}

/// An observation of `default/process`, seen `age_ms` ago (negative: in the future), in JSON.
pub fn observation(seq: u64, process: &str, age_ms: i64) -> Value {
    json!({
        "seq": seq, "process": format!("default/{process}"), "observedAt": now(-age_ms),
        "state": "Running", "reason": "Sample", "message": format!("sample {seq}"),
    })
}

/// The time `offset_ms` from now, RFC 3339.
pub fn now(offset_ms: i64) -> String {
    let millis = jiff::Timestamp::now().as_millisecond().saturating_add(offset_ms);
    apollo_wire::UnixMillis::saturating(millis).to_string()
}
