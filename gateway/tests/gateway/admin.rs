//! The read API on the admin port.

use apollo_gateway::manifest;

use crate::fixture::Fixture;

#[tokio::test]
async fn a_list_has_100_objects_unless_asked_for_more_and_1000_at_most() {
    let fixture = Fixture::start().await;
    let process = |number: usize| {
        let object = serde_json::json!({
            "apiVersion": "apollo.azure.com/v1alpha1", "kind": "DeviceProcess",
            "metadata": {"name": format!("process-{number}"), "namespace": "default"},
            "spec": {"deviceRef": {"name": format!("buoy-{}", number % 2)}, "command": ["/bin/true"]},
        });
        let Ok(manifest) = manifest::check_object(&object, None) else {
            panic!("a good manifest")
        };
        manifest
    };
    fixture
        .store
        .apply((0..1_002).map(process).collect())
        .await
        .unwrap();
    let listed = async |query: &str| {
        let (status, body) = fixture
            .admin_get(&format!("/api/v1/deviceprocesses{query}"))
            .await;
        let list: Result<serde_json::Value, _> = serde_json::from_str(&body);
        (
            status,
            list.map_or(0, |list| list["items"].as_array().unwrap().len()),
        )
    };
    assert_eq!(listed("").await, (200, 100));
    assert_eq!(listed("?limit=1000").await, (200, 1_000));
    assert_eq!(listed("?limit=1000&device=buoy-1").await, (200, 501));
    for refused in ["?limit=1001", "?limit=0", "?limit=-1", "?device=Buoy"] {
        assert_eq!(listed(refused).await, (400, 0), "{refused}");
    }
}
