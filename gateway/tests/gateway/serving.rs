//! A gateway that says it serves does so.

use apollo_gateway::{
    config::StoreChoice,
    manifest::{self, Manifest},
};

use crate::fixture::Fixture;

/// Several pages of the store's watch: reading them takes a while.
const PROCESSES: usize = 2_000;

fn process(number: usize) -> Manifest {
    let object = serde_json::json!({
        "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
        "metadata": {"name": format!("process-{number}"), "namespace": "default"},
        "spec": {"deviceRef": {"name": "buoy-17"}, "command": ["/bin/true"]},
    });
    let Ok(manifest) = manifest::check_object(&object, None) else {
        panic!("a good manifest")
    };
    manifest
}

#[tokio::test]
async fn it_is_announced_once_all_objects_are_read() {
    let one = Fixture::start().await;
    one.store
        .apply((0..PROCESSES).map(process).collect())
        .await
        .unwrap();
    let file = StoreChoice::Embedded(one.store.path().to_owned());
    let two = Fixture::start_with(|config| config.store = file).await;
    assert_eq!(two.admin_get("/readyz").await, (200, "ready\n".to_owned()));
}
