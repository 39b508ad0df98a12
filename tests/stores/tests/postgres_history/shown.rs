//! What people and the read API see.

use anyhow::Result;
use apollo_gateway::store::ObservationFilter;
use apollo_gateway_core::store::{HistoryRow, OnConflict, StoreReply, StoreRequest};
use apollo_wire::{Clock, ProcessState, SpecHash, UnixMillis, Value};
use serde_json::json;

use crate::{
    server::{Server, appended, rows},
    store_values::{append, device, process, row},
};

fn strictly(rows: Vec<HistoryRow>) -> StoreRequest {
    let mut request = append("buoy", 1, rows);
    if let StoreRequest::AppendHistory { on_conflict, .. } = &mut request {
        *on_conflict = OnConflict::RefuseOther;
    }
    request
}

/// P-04, R-08: Postgres keeps no NUL in a text. A row with one neither fails nor loses it, nor keeps others from being
/// stored.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p04_r08_a_nul_anywhere_in_a_text_is_kept_and_compared() -> Result<()> {
    let Some(server) = Server::start("a NUL in a text")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let mut nul = row(2);
    nul.observation.reason = "\0".to_owned();
    nul.observation.message = "before\0after \u{10ffff} \u{fffe}".to_owned();
    nul.observation
        .values
        .insert("a\0b".to_owned(), Value::new(1.5).unwrap());
    let all = || vec![row(1), nul.clone(), row(3)];
    assert_eq!(appended(history.execute(strictly(all())).await).0, [true; 3]);
    assert_eq!(appended(history.execute(strictly(all())).await).0, [false; 3]);

    let read = history.observations(&ObservationFilter::default(), 10).await?;
    assert_eq!(read[1].reason, nul.observation.reason);
    assert_eq!(read[1].message, nul.observation.message);
    assert_eq!(read[1].values(), json!({"a\0b": 1.5}));

    // What it is shown as is another text.
    let mut shown = nul.clone();
    shown.observation.reason = "\u{2400}".to_owned();
    shown.observation.message = nul.observation.message.replace('\0', "\u{2400}");
    let reply = history.execute(strictly(vec![shown.clone()])).await;
    assert_eq!(reply, StoreReply::HistoryDiverged { highest: 3 });
    // As bytes: psql leaves out some of the characters that it does not know.
    let message = server
        .postgres
        .psql("SELECT encode(convert_to(message, 'UTF8'), 'hex') FROM apollo.observations WHERE seq = 2")?;
    let bytes = shown.observation.message.bytes();
    assert_eq!(
        message,
        bytes.map(|byte| format!("{byte:02x}")).collect::<String>()
    );
    Ok(())
}

/// P-03: the views have the columns of the embedded store's.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_the_views_have_the_columns_and_forms_of_the_embedded_stores() -> Result<()> {
    let Some(server) = Server::start("the views")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let columns = |view: &str| {
        server.postgres.psql(&format!(
            "SELECT string_agg(column_name, ' ' ORDER BY ordinal_position) FROM information_schema.columns \
             WHERE table_schema = 'apollo' AND table_name = '{view}'"
        ))
    };
    assert_eq!(
        columns("observations")?,
        "device epoch instance seq process observed_at corrected_at received_at clock state spec_hash reason message \
         values_json orphaned pid exit_code restarts"
    );
    assert_eq!(
        columns("gaps")?,
        "device epoch instance first last reason received_at"
    );

    let mut full = row(17);
    let observation = &mut full.observation;
    observation.observed_at = UnixMillis::saturating(-1);
    observation.clock = Clock::Unsynced;
    observation.state = Some(ProcessState::Failed);
    observation.spec_hash = Some(SpecHash([0x9f, 0, 1, 2, 3, 4, 5, 0xff]));
    observation.pid = Some(u32::MAX);
    observation.exit_code = Some(i32::MIN);
    observation.restarts = Some(7);
    observation.reason = "Exited".to_owned();
    observation.message = "it's over".to_owned();
    observation
        .values
        .insert("rss_kib".to_owned(), Value::new(5_321.0).unwrap());
    full.corrected_at = Some(UnixMillis::saturating(1_795_428_000_007));
    full.orphaned = true;
    appended(history.execute(append("buoy", 1, vec![full])).await);
    assert_eq!(
        server.postgres.psql("SELECT * FROM apollo.observations")?,
        "buoy|1|01010101-0101-0101-0101-010101010101|17|default/p|1969-12-31T23:59:59.999Z|2026-11-23T10:00:00.007Z|\
         1970-01-01T00:00:02.000Z|unsynced|Failed|9f000102030405ff|Exited|it's over|{\"rss_kib\":5321}|1|4294967295|\
         -2147483648|7"
    );
    assert_eq!(
        server.postgres.psql("SELECT * FROM apollo.gaps")?,
        "buoy|1|01010101-0101-0101-0101-010101010101|1|2|QueueFull|1970-01-01T00:00:02.000Z"
    );
    for millis in [
        UnixMillis::MIN.get(),
        -62_135_596_800_000,
        -62_135_596_800_001,
        UnixMillis::MAX.get(),
        999,
    ] {
        let text = server
            .postgres
            .psql(&format!("SELECT apollo.iso_utc({millis})"))?;
        assert_eq!(json!(text), json!(UnixMillis::saturating(millis)), "{millis}");
    }
    Ok(())
}

/// Every state and every clock has its word.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_states_and_clocks_are_words_in_the_view_and_in_the_read_api() -> Result<()> {
    let Some(server) = Server::start("states and clocks")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let states = [
        ProcessState::Pending,
        ProcessState::Running,
        ProcessState::Backoff,
        ProcessState::Succeeded,
        ProcessState::Failed,
        ProcessState::Stopped,
    ];
    let clocks = [Clock::Synced, Clock::Unsynced, Clock::Unknown];
    let all = states.iter().zip(clocks.iter().cycle()).zip(1..);
    let all = all.map(|((state, clock), seq)| {
        let mut row = row(seq);
        row.observation.state = Some(*state);
        row.observation.clock = *clock;
        row
    });
    let all: Vec<HistoryRow> = all.collect();
    appended(history.execute(append("buoy", 1, all.clone())).await);
    let words = |row: &HistoryRow| {
        let said = json!([row.observation.state, row.observation.clock]);
        format!("{}|{}", said[0].as_str().unwrap(), said[1].as_str().unwrap())
    };
    let expected: Vec<String> = all.iter().map(words).collect();
    let shown = server
        .postgres
        .psql("SELECT state, clock FROM apollo.observations ORDER BY seq")?;
    assert_eq!(shown.lines().collect::<Vec<_>>(), expected);
    let read = history.observations(&ObservationFilter::default(), 10).await?;
    let read: Vec<String> = read
        .iter()
        .map(|read| format!("{}|{}", read.state.unwrap(), read.clock))
        .collect();
    assert_eq!(read, expected);
    Ok(())
}

/// P-03: sorted by device, epoch and sequence, each condition of the filter holds, and no more than asked for.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p03_observations_are_read_in_order_filtered_and_limited() -> Result<()> {
    let Some(server) = Server::start("reading observations")? else {
        return Ok(());
    };
    let history = server.replica().await?;
    let mut other = row(9);
    other.observation.process = process("q");
    // The second life got the lower number: its Device was made anew.
    for (name, of, rows) in [
        ("truck", 1, rows([1, 2])),
        ("buoy", 2, rows([4, 3])),
        ("buoy", 1, vec![other, row(8)]),
    ] {
        appended(history.execute(append(name, of, rows)).await);
    }
    let read = async |filter: ObservationFilter, limit| -> Result<String> {
        let read = history.observations(&filter, limit).await?;
        let read: Vec<String> = read
            .iter()
            .map(|r| format!("{}/{}/{}", r.device, r.epoch, r.seq))
            .collect();
        Ok(read.join(" "))
    };
    let all = ObservationFilter::default();
    assert_eq!(
        read(all.clone(), 10).await?,
        "buoy/1/8 buoy/1/9 buoy/2/3 buoy/2/4 truck/1/1 truck/1/2"
    );
    assert_eq!(read(all.clone(), 3).await?, "buoy/1/8 buoy/1/9 buoy/2/3");
    assert_eq!(read(all.clone(), 0).await?, "");
    let truck = ObservationFilter {
        device: Some(device("truck")),
        ..all.clone()
    };
    assert_eq!(read(truck, 10).await?, "truck/1/1 truck/1/2");
    let named = ObservationFilter {
        name: Some("q".to_owned()),
        ..all.clone()
    };
    assert_eq!(read(named, 10).await?, "buoy/1/9");
    let elsewhere = ObservationFilter {
        namespace: Some("defaul".to_owned()),
        ..all
    };
    assert_eq!(read(elsewhere, 10).await?, "");
    Ok(())
}
