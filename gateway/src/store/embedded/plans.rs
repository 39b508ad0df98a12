//! Every query on a request's path seeks in an index (G-06): SQLite's own plan says so, whatever the sizes.

use rusqlite::Connection;

use super::{history, objects, observations, schema, tombstones, watch};
use crate::store::ObservationFilter;

fn plan(sql: &str) -> Vec<String> {
    let connection = Connection::open_in_memory().unwrap();
    connection.execute_batch(&schema::create()).unwrap();
    let mut statement = connection.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
    // Unbound parameters are NULL, which does not change a plan.
    let details = statement
        .raw_query()
        .mapped(|row| row.get(3))
        .collect::<Result<_, _>>();
    details.unwrap()
}

#[test]
fn no_request_scans() {
    let device = ObservationFilter {
        device: Some("buoy".parse().unwrap()),
        ..Default::default()
    };
    for sql in [
        objects::sql_one(),
        objects::sql_bound(),
        watch::sql_page(),
        history::FIND_INSTANCE.to_owned(),
        history::FIND_PROCESS.to_owned(),
        history::HIGHEST.to_owned(),
        history::IS_SETTLED.to_owned(),
        history::SAYS_THE_SAME.to_owned(),
        history::LONGEST_GAP.to_owned(),
        tombstones::REMOVE_OLD.to_owned(),
        observations::sql(&device),
    ] {
        let plan = plan(&sql);
        assert!(
            !plan.is_empty() && plan.iter().all(|step| !step.contains("SCAN")),
            "{sql}: {plan:?}"
        );
    }
}

#[test]
fn history_is_read_in_order_without_sorting_it() {
    for device in [None, Some("buoy".parse().unwrap())] {
        let filter = ObservationFilter {
            device,
            ..Default::default()
        };
        let plan = plan(&observations::sql(&filter));
        assert!(plan.iter().all(|step| !step.contains("TEMP B-TREE")), "{plan:?}");
    }
}

#[test]
fn a_scan_would_be_noticed() {
    assert!(
        plan("SELECT * FROM objects WHERE uid = 'x'")
            .iter()
            .any(|step| step.contains("SCAN"))
    );
}
