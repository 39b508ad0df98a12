//! What `apply` takes and what it refuses, by file, document and field.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking"
)]

use apollo_gateway::manifest::{Manifest, check_object, documents};

/// The problems of the only object of `yaml`.
fn problems(yaml: &str) -> Vec<String> {
    let documents = documents("f.yaml", yaml).unwrap();
    match check_object(&documents[0].value, None) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

fn process(spec: &str) -> String {
    format!(
        "apiVersion: apollo.azure.com/v1alpha1\nkind: DeviceProcess\nmetadata: {{name: p}}\nspec: {spec}\n"
    )
}

fn manifest(yaml: &str) -> Manifest {
    check_object(&documents("f.yaml", yaml).unwrap()[0].value, None).unwrap()
}

#[test]
fn a_problem_names_the_field_and_what_was_expected() {
    let head = "deviceRef: {name: d}, command: [x]";
    for (spec, problem) in [
        (
            "{command: [x]}",
            "spec.deviceRef: required: expected {name: DEVICE}",
        ),
        (
            "{deviceRef: {}, command: [x]}",
            "spec.deviceRef.name: required: expected the name of a device",
        ),
        (
            "{deviceRef: {name: d}}",
            "spec.command: required: expected a list of at least the program",
        ),
        (
            "{deviceRef: {name: d}, command: x}",
            "spec.command: expected a list, got \"x\"",
        ),
        (
            "{deviceRef: {name: d}, command: [\"\"]}",
            "spec.command[0]: expected the program, got \"\"",
        ),
        (
            "{deviceRef: {name: d}, command: [x, 7]}",
            "spec.command[1]: expected text, got 7; put it in quotes",
        ),
        (
            "{deviceRef: {name: d}, command: [x, \"a\\0\"]}",
            "spec.command[1]: expected text without NUL",
        ),
        (
            &format!("{{{head}, args: [\"\\0\"]}}"),
            "spec.args[0]: expected text without NUL",
        ),
        (
            &format!("{{{head}, env: [{{name: A, value: \"\\0\"}}]}}"),
            "spec.env[0].value: expected text without NUL",
        ),
        (
            &format!("{{{head}, workingDirectory: \"/\\0\"}}"),
            "spec.workingDirectory: expected text without NUL",
        ),
        (
            &format!("{{{head}, restartPolicy: always}}"),
            "spec.restartPolicy: expected Always, OnFailure or Never, got \"always\"",
        ),
        (
            &format!("{{{head}, stopGracePeriodSeconds: 3601}}"),
            "spec.stopGracePeriodSeconds: expected a whole number from 0 to 3600, got 3601",
        ),
        (
            &format!("{{{head}, suspend: \"yes\"}}"),
            "spec.suspend: expected true or false, got \"yes\"",
        ),
        (
            &format!("{{{head}, args: [~]}}"),
            "spec.args[0]: expected a value, got null; leave the field out",
        ),
        (
            &format!("{{{head}, env: [{{name: A=B, value: c}}]}}"),
            "spec.env[0].name: expected a name that is not empty and without '=', got \"A=B\"",
        ),
    ] {
        assert!(
            problems(&process(spec)).contains(&problem.to_owned()),
            "{spec}: {:?}",
            problems(&process(spec))
        );
    }
}

#[test]
fn the_limits_themselves_are_accepted() {
    let spec = "{deviceRef: {name: d}, command: [x, \"\"], args: [], env: [], stopGracePeriodSeconds: 3600}";
    assert_eq!(problems(&process(spec)), [""; 0]);
}

#[test]
fn everything_wrong_is_told_at_once() {
    let found = problems(&process("{deviceRef: {name: D}, command: [], typo: 1}"));
    assert_eq!(found.len(), 3, "{found:?}");
}

#[test]
fn the_spec_is_kept_as_written_and_status_is_ignored() {
    let kept = manifest(&(process("{deviceRef: {name: d}, command: [x]}") + "status: {state: Running}\n"));
    assert_eq!(kept.spec.json(), r#"{"command":["x"],"deviceRef":{"name":"d"}}"#);
    assert_eq!(
        (kept.key.namespace.as_str(), kept.device.as_deref()),
        ("default", Some("d"))
    );
}

#[test]
fn what_get_prints_can_be_applied_again() {
    let yaml = "apiVersion: apollo.azure.com/v1alpha1\nkind: Device\nmetadata: {name: d, uid: x, resourceVersion: '7', \
                generation: 1, creationTimestamp: '2026-11-23T10:00:00Z'}\nspec: {blocked: true, staleAfter: 2h}\n";
    assert_eq!(manifest(yaml).key.name, "d");
}

#[test]
fn devices_belong_to_no_namespace_and_their_window_is_bounded() {
    let device = |rest: &str| format!("apiVersion: apollo.azure.com/v1alpha1\nkind: Device\n{rest}\n");
    assert!(problems(&device("metadata: {name: d, namespace: x}"))[0].starts_with("metadata.namespace"));
    assert_eq!(
        problems(&device("metadata: {name: d}\nspec: {staleAfter: 366d}")),
        [""; 0]
    );
    for bad in ["367d", "0s", "90", "-5s"] {
        let found = problems(&device(&format!(
            "metadata: {{name: d}}\nspec: {{staleAfter: '{bad}'}}"
        )));
        assert!(
            found
                .iter()
                .any(|problem| problem.starts_with("spec.staleAfter: expected a duration")),
            "{bad}: {found:?}"
        );
    }
}

#[test]
fn labels_follow_the_rules_of_kubernetes() {
    let labelled = |labels: &str| {
        process("{deviceRef: {name: d}, command: [x]}")
            .replace("name: p}", &format!("name: p, labels: {labels}}}"))
    };
    let longest = "a".repeat(63);
    assert_eq!(
        problems(&labelled(&format!("{{a.io/b: '', {longest}: {longest}}}"))),
        [""; 0]
    );
    for bad in [
        format!("{{a: {longest}a}}"),
        format!("{{{longest}a: b}}"),
        "{a/b/c: x}".into(),
        "{a: -x}".into(),
    ] {
        assert_eq!(problems(&labelled(&bad)).len(), 1, "{bad}");
    }
}

#[test]
fn lists_json_and_several_documents_are_taken_apart() {
    let json = r#"{"apiVersion":"v1","kind":"List","items":[{"a":1},{"b":2}]}"#;
    let all = documents("f", &format!("---\n# nothing\n---\n{json}\n---\nc: 3\n")).unwrap();
    let places: Vec<String> = all.iter().map(ToString::to_string).collect();
    assert_eq!(
        places,
        [
            "f: document 1, items[0]",
            "f: document 1, items[1]",
            "f: document 2"
        ]
    );
}

#[test]
fn what_is_no_yaml_is_refused_with_its_place() {
    for bad in ["a: [1", "a: 1\na: 2", "---\na: 1\n---\nb: ]"] {
        let error = documents("f.yaml", bad).unwrap_err().to_string();
        assert!(
            error.starts_with("f.yaml: document ") && !error.contains('\n'),
            "{error}"
        );
    }
    assert!(
        documents("f.yaml", "apiVersion: v1\nkind: List\nitems: 3")
            .unwrap_err()
            .to_string()
            .contains("items")
    );
}
