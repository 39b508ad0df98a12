//! That kubectl shows what docs/kubernetes.md shows.

use anyhow::{Context, Result};
use apollo_gateway::store::Store;
use apollo_gateway_core::{object::DeviceStatus, store::StoreRequest};

use crate::{
    cluster::Cluster,
    store_contract::{Replicas, bound, process_yaml, seen, write},
    store_values::device,
};

const PAGE: &str = include_str!("../../../../docs/kubernetes.md");

/// The words of the line below a command on the page.
fn documented(command: &str) -> Result<Vec<&'static str>> {
    let below = PAGE
        .split(&format!("$ {command}\n"))
        .nth(1)
        .with_context(|| format!("the page shows no {command:?}"))?;
    Ok(below
        .lines()
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .collect())
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_columns_of_kubectl_are_those_that_the_page_shows() -> Result<()> {
    let Some(cluster) = Cluster::start("kube_store columns").await? else {
        return Ok(());
    };
    cluster.apply(&process_yaml("p", "buoy", "true")).await;
    let create = StoreRequest::CreateDevice {
        device: device("buoy"),
        status: Box::new(DeviceStatus::default()),
    };
    cluster.first().execute(create).await;
    let read = bound(cluster.first(), "buoy", &[]).await.remove(0);
    write(cluster.first(), seen(&read, 1)).await;
    for command in [
        "kubectl get devices",
        "kubectl get dp",
        "kubectl get dp -o wide",
        "kubectl get dp --field-selector spec.deviceRef.name=truck-4",
    ] {
        let arguments: Vec<String> = command
            .split(' ')
            .skip(1)
            .map(|word| word.replace("truck-4", "buoy"))
            .collect();
        let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
        let printed = cluster.api.kubectl(&arguments, None)?.success()?.stdout;
        let header: Vec<&str> = printed
            .lines()
            .next()
            .unwrap_or_default()
            .split_whitespace()
            .collect();
        assert_eq!(header, documented(command)?, "{command}");
        assert_eq!(printed.lines().count(), 2, "{printed}");
    }
    // The fields of a description; what has no colon is a word of the command.
    let described = cluster
        .api
        .kubectl(&["describe", "dp", "p"], None)?
        .success()?
        .stdout;
    let (_, shown) = PAGE
        .split_once("$ kubectl describe dp calibrate\n")
        .context("no description")?;
    let shown = shown.split("```").next().unwrap_or_default();
    let fields = described.lines().filter_map(|line| line.split_once(':'));
    for (field, _) in fields {
        assert!(
            shown.contains(&format!("{}:", field.trim())),
            "the page does not show {field:?}"
        );
    }
    Ok(())
}
