//! Problem documents as the gateway writes them and the agent reads them (RFC 9457).

use apollo_wire::{Problem, json};

fn problem() -> Problem {
    Problem {
        title: "Bad Request".into(),
        status: 400,
        detail: String::new(),
        field: None,
    }
}

#[test]
fn what_is_empty_is_left_out() -> Result<(), serde_json::Error> {
    let written: serde_json::Value = serde_json::from_slice(&json::encode_problem(&problem()))?;
    assert_eq!(
        written,
        serde_json::json!({"title": "Bad Request", "status": 400})
    );
    Ok(())
}

#[test]
fn what_is_written_reads_back() -> Result<(), json::JsonError> {
    let full = Problem {
        detail: "expected a number".to_owned(),
        field: Some("observations[3].seq".to_owned()),
        ..problem()
    };
    for problem in [problem(), full] {
        assert_eq!(json::decode_problem(&json::encode_problem(&problem))?, problem);
    }
    Ok(())
}
