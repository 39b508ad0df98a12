//! The JSON merge patch (RFC 7386) that brings a stored status to what the core decided: only what differs, and of the
//! conditions only Apollo's own types. The list of conditions goes as a whole, because a merge patch cannot do less;
//! the resourceVersion makes sure that it is the list that was read.

use apollo_gateway_core::{conditions, object::ResourceVersion};
use serde_json::{Map, Value, json};

/// The field that is a list shared by several writers.
const CONDITIONS: &str = "conditions";

/// The patch of `/status`; `None` if nothing differs.
pub(super) fn status_patch(
    stored: &Map<String, Value>,
    wanted: &Map<String, Value>,
    expected: &ResourceVersion,
) -> Option<Value> {
    let mut changed = Map::new();
    for (field, value) in wanted {
        if field == CONDITIONS {
            let list = conditions_list(stored.get(field), value);
            if stored.get(field) != Some(&list) {
                changed.insert(field.clone(), list);
            }
        } else if stored.get(field) != Some(value) {
            changed.insert(field.clone(), value.clone());
        }
    }
    // A field that the core left out is gone: null removes it.
    for field in stored.keys().filter(|field| *field != CONDITIONS) {
        if !wanted.contains_key(field) {
            changed.insert(field.clone(), Value::Null);
        }
    }
    if changed.is_empty() {
        return None;
    }
    Some(json!({"metadata": {"resourceVersion": expected.0}, "status": changed}))
}

/// The stored list with our own conditions replaced where they stand, and new ones at the end. Others stay as they are,
/// to the letter.
fn conditions_list(stored: Option<&Value>, wanted: &Value) -> Value {
    let items = |list: Option<&Value>| list.and_then(Value::as_array).cloned().unwrap_or_default();
    let mut list = items(stored);
    for condition in items(Some(wanted)).into_iter().filter(is_own) {
        match list
            .iter_mut()
            .find(|present| present.get("type") == condition.get("type"))
        {
            Some(present) => *present = condition,
            None => list.push(condition),
        }
    }
    Value::Array(list)
}

fn is_own(condition: &Value) -> bool {
    let kind = condition.get("type").and_then(Value::as_str).unwrap_or_default();
    [
        conditions::AGENT_CONNECTED,
        conditions::READY,
        conditions::CLOCK_SYNCHRONIZED,
    ]
    .contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(value: Value) -> Map<String, Value> {
        value.as_object().unwrap().clone()
    }

    fn patch(stored: Value, wanted: Value) -> Option<Value> {
        status_patch(&map(stored), &map(wanted), &ResourceVersion("12".to_owned()))
    }

    #[test]
    fn only_what_differs_is_sent_with_the_version_it_was_computed_from() {
        let stored = json!({"state": "Running", "pid": 7, "restarts": 1});
        let wanted = json!({"state": "Failed", "restarts": 1, "exitCode": 3});
        assert_eq!(
            patch(stored.clone(), wanted),
            Some(json!({
                "metadata": {"resourceVersion": "12"},
                "status": {"state": "Failed", "pid": null, "exitCode": 3},
            }))
        );
        assert_eq!(patch(stored.clone(), stored), None);
    }

    #[test]
    fn r05_conditions_of_others_stay_where_and_as_they_are() {
        let theirs = json!({"type": "Audited", "status": "True", "unknownToUs": [1, 2]});
        let stored = json!({"conditions": [
            {"type": "Ready", "status": "False", "reason": "a", "message": ""}, theirs,
        ]});
        // The core has read less of the foreign condition than is there.
        let wanted = json!({"conditions": [
            {"type": "Ready", "status": "True", "reason": "b", "message": ""},
            {"type": "Audited", "status": "True", "reason": "", "message": ""},
            {"type": "AgentConnected", "status": "True", "reason": "c", "message": ""},
        ]});
        let sent = patch(stored.clone(), wanted).unwrap();
        assert_eq!(
            sent["status"]["conditions"],
            json!([
                {"type": "Ready", "status": "True", "reason": "b", "message": ""},
                theirs,
                {"type": "AgentConnected", "status": "True", "reason": "c", "message": ""},
            ])
        );
        let nothing_new = json!({"conditions": [
            {"type": "Ready", "status": "False", "reason": "a", "message": ""},
            {"type": "Audited", "status": "True", "reason": "", "message": ""},
        ]});
        assert_eq!(patch(stored, nothing_new), None);
    }
}
