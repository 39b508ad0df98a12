//! the views people read with `sqlite3`: their columns are a contract, their text is readable and exact.

use apollo_wire::UnixMillis;
use rusqlite::types::Value;

use crate::support::{Scratch, row, verdicts};

fn columns(scratch: &Scratch, view: &str) -> Vec<String> {
    let sqlite = scratch.sqlite();
    let statement = sqlite.prepare(&format!("SELECT * FROM {view}")).unwrap();
    statement.column_names().map(str::to_owned).collect()
}

fn text(scratch: &Scratch, sql: &str) -> Vec<Vec<String>> {
    let sqlite = scratch.sqlite();
    let mut statement = sqlite.prepare(sql).unwrap();
    let width = statement.column_count();
    let cell = |value: Value| match value {
        Value::Null => "NULL".to_owned(),
        Value::Integer(number) => number.to_string(),
        Value::Real(number) => number.to_string(),
        Value::Text(text) => text,
        Value::Blob(_) => "BLOB".to_owned(),
    };
    let rows = statement.query_map([], |row| (0..width).map(|i| row.get(i).map(cell)).collect());
    rows.unwrap().collect::<Result<_, _>>().unwrap()
}

#[test]
fn the_columns_are_those_of_the_contract() {
    let scratch = Scratch::new();
    for (view, expected) in [
        (
            "queue",
            "seq observed_at process state reason message clock attempts bytes",
        ),
        (
            "dead_letters",
            "seq observed_at process reason rejected_at rejection detail",
        ),
        ("gaps", "first last reason created_at"),
        ("desired", "process generation spec_hash spec etag fetched_at"),
        ("sync_status", "key value"),
    ] {
        assert_eq!(columns(&scratch, view).join(" "), expected, "{view}");
    }
}

#[test]
fn the_queue_reads_as_text() {
    let mut scratch = Scratch::new();
    let mut history_only = row("probe ok");
    history_only.state = None;
    scratch.queue.append(&[history_only]).unwrap();
    let bytes = (48 + "default/a".len() + "probe ok".len()).to_string();
    let expected = [
        "1",
        "2025-11-24T10:20:41.194Z",
        "default/a",
        "NULL",
        "",
        "probe ok",
        "synced",
        "0",
        bytes.as_str(),
    ];
    assert_eq!(text(&scratch, "SELECT * FROM queue"), [expected]);
}

#[test]
fn sync_status_has_every_key_also_before_the_first_run() {
    let mut scratch = Scratch::new();
    scratch.append(1);
    let keys: Vec<String> = text(&scratch, "SELECT key FROM sync_status")
        .into_iter()
        .flatten()
        .collect();
    for key in [
        "instance",
        "last_success",
        "last_error",
        "next_attempt",
        "acked_total",
        "bytes_sent_today",
        "bytes_received_today",
    ] {
        assert!(keys.iter().any(|found| found == key), "{key}");
    }
    let value = |key: &str| {
        text(
            &scratch,
            &format!("SELECT value FROM sync_status WHERE key = '{key}'"),
        )
    };
    assert_eq!(value("instance"), [[scratch.queue.instance().to_string()]]);
    assert_eq!(value("pending"), [["1"]]);
}

#[test]
fn traffic_of_an_earlier_day_does_not_show_as_todays() {
    let mut scratch = Scratch::new();
    let sent = "SELECT value FROM sync_status WHERE key = 'bytes_sent_today'";
    scratch
        .queue
        .add_traffic(apollo_agent::clock::now(), 7, 8)
        .unwrap();
    assert_eq!(text(&scratch, sent), [["7"]]);
    scratch
        .queue
        .add_traffic("2001-01-01T00:00:00Z".parse().unwrap(), 7, 8)
        .unwrap();
    assert_eq!(text(&scratch, sent), [["0"]]);
}

#[test]
fn dead_letters_and_gaps_tell_when_and_why() {
    let mut scratch = Scratch::rows(2);
    scratch.append(3);
    let batch = scratch.offer();
    scratch
        .queue
        .settle(batch.instance, &[], &verdicts(&[], &[2]))
        .unwrap();
    let dead = text(
        &scratch,
        "SELECT seq, process, rejection, detail FROM dead_letters WHERE rejected_at LIKE '20%Z'",
    );
    assert_eq!(dead, [["2", "default/a", "NotBound", "not yours"]]);
    let gaps = text(
        &scratch,
        "SELECT first, last, reason FROM gaps WHERE created_at LIKE '20%Z'",
    );
    assert_eq!(gaps, [["1", "1", "QueueFull"]]);
}

proptest::proptest! {
    /// SQLite's own formatting goes through floating point; it must not show.
    #[test]
    fn times_are_exact_to_the_millisecond(ms in UnixMillis::MIN.get()..=UnixMillis::MAX.get()) {
        let sqlite = rusqlite::Connection::open_in_memory().unwrap();
        let sql = "SELECT strftime('%Y-%m-%dT%H:%M:%fZ', ?1 / 1000.0, 'unixepoch')";
        let shown: String = sqlite.query_row(sql, [ms], |row| row.get(0)).unwrap();
        proptest::prop_assert_eq!(shown, UnixMillis::new(ms).unwrap().to_string());
    }
}
