//! Several gateways on one API server, looked at together.

use std::collections::BTreeMap;

use anyhow::{Result, ensure};
use apollo_tests::harness::{Gateway, kube::KubeWorld, metric};

/// Gateways called `gateway-0` and on, with further arguments of `serve`.
pub(crate) fn start(world: &KubeWorld, count: usize, arguments: &[&str]) -> Result<Vec<Gateway>> {
    let names = (0..count).map(|number| format!("gateway-{number}"));
    names.map(|name| world.gateway(&name, arguments)).collect()
}

/// The sum of a metric over all of them.
pub(crate) fn sum(gateways: &[Gateway], name: &str, labels: &str) -> Result<f64> {
    let values = gateways.iter().map(|gateway| gateway.metric(name, labels));
    values.sum()
}

/// Requests to the API server by verb, resource and code, all gateways together.
pub(crate) fn asked(gateways: &[Gateway]) -> Result<BTreeMap<String, f64>> {
    const NAME: &str = "apollo_gateway_kube_requests_total";
    let mut asked = BTreeMap::new();
    for gateway in gateways {
        let text = gateway.admin_get("/metrics")?.1;
        for line in text.lines().filter(|line| line.starts_with(NAME)) {
            let labels = line
                .trim_start_matches(NAME)
                .split('}')
                .next()
                .unwrap_or_default();
            let labels = format!("{labels}}}");
            let value = metric(line, NAME, &labels);
            *asked.entry(labels).or_insert(0.0) += value;
        }
    }
    Ok(asked)
}

/// None has panicked, and none has logged an error that does not contain one of the texts in `expected`.
pub(crate) fn complain_only_of(gateways: &[Gateway], expected: &[&str]) -> Result<()> {
    for gateway in gateways {
        for line in gateway.process.stderr()?.lines() {
            let is_bad = line.contains("panicked") || line.contains(" ERROR ");
            let is_expected = expected.iter().any(|text| line.contains(text));
            ensure!(!is_bad || is_expected, "{line}");
        }
    }
    Ok(())
}
