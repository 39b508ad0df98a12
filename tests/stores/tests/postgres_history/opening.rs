//! Opening: the schema is made once, and what cannot be used is refused in one line and left as it is.

use std::time::{Duration, Instant};

use anyhow::Result;

use crate::{
    server::{Server, appended, open, rows},
    store_values::append,
};

/// P-06: replicas that start at the same moment on an empty database.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_several_that_start_at_once_make_the_schema_once() -> Result<()> {
    let Some(server) = Server::start("several at once")? else {
        return Ok(());
    };
    let mut starting = tokio::task::JoinSet::new();
    for _ in 0..6 {
        let url = server.postgres.url();
        starting.spawn(async move { open(&url, None).await });
    }
    while let Some(opened) = starting.join_next().await {
        let (new, _) = appended(opened??.execute(append("buoy", 1, rows([1]))).await);
        assert_eq!(new.len(), 1);
    }
    assert_eq!(
        server.postgres.psql("SELECT version FROM apollo.migrations")?,
        "1"
    );
    assert_eq!(
        server.postgres.psql("SELECT count(*) FROM apollo.observations")?,
        "1"
    );
    Ok(())
}

/// P-06: a schema that is newer, or another program's, or a database that cannot hold every text.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_what_is_not_ours_is_refused_and_left_as_it_is() -> Result<()> {
    let Some(server) = Server::start("what is not ours")? else {
        return Ok(());
    };
    let url = |database: &str| {
        server
            .postgres
            .url()
            .replace("/apollo?", &format!("/{database}?"))
    };
    let refusal = async |database: &str| {
        let refused = open(&url(database), None).await.err().unwrap();
        format!("{:#}", anyhow::Error::from(refused))
    };
    let postgres = &server.postgres;

    appended(
        server
            .replica()
            .await?
            .execute(append("buoy", 1, rows([1])))
            .await,
    );
    postgres.psql("INSERT INTO apollo.migrations (version) VALUES (2)")?;
    let said = refusal("apollo").await;
    assert!(
        said.contains("schema version 2") && said.contains("newer than this program's 1"),
        "{said}"
    );
    assert_eq!(postgres.psql("SELECT count(*) FROM apollo.history")?, "1");

    postgres.psql("DROP SCHEMA apollo CASCADE")?;
    postgres.psql("CREATE SCHEMA apollo CREATE TABLE moon (landing int)")?;
    let said = refusal("apollo").await;
    assert!(said.contains("another program's"), "{said}");
    assert_eq!(
        postgres.psql("SELECT tablename FROM pg_tables WHERE schemaname = 'apollo'")?,
        "moon"
    );

    postgres
        .psql("CREATE DATABASE latin ENCODING 'LATIN1' TEMPLATE template0 LC_COLLATE 'C' LC_CTYPE 'C'")?;
    let said = refusal("latin").await;
    assert!(said.contains("encoding LATIN1"), "{said}");

    let said = refusal("missing").await;
    assert!(said.contains("\"missing\" does not exist"), "{said}");
    Ok(())
}

/// P-06: an administrator makes an empty schema for a role that may not make one itself.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_a_role_that_owns_nothing_but_the_schema_is_enough() -> Result<()> {
    let Some(server) = Server::start("a role with a schema")? else {
        return Ok(());
    };
    server.postgres.psql("CREATE ROLE gateway LOGIN")?;
    let url = server.postgres.url().replace("user=postgres", "user=gateway");
    let said = format!("{:#}", anyhow::Error::from(open(&url, None).await.err().unwrap()));
    assert!(said.contains("permission denied"), "{said}");
    server
        .postgres
        .psql("CREATE SCHEMA apollo AUTHORIZATION gateway")?;
    let history = open(&url, None).await?;
    appended(history.execute(append("buoy", 1, rows([1]))).await);
    Ok(())
}

/// P-06, P-08: a server that is not there, and one that never answers.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn p06_p08_a_server_that_does_not_answer_is_said_in_time_without_the_password() -> Result<()> {
    let silent = std::net::TcpListener::bind("127.0.0.1:0")?;
    let closed = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0")?;
        listener.local_addr()?
    };
    for address in [silent.local_addr()?, closed] {
        let began = Instant::now();
        let error = open(&format!("postgres://apollo:secret@{address}/apollo"), None)
            .await
            .err()
            .unwrap();
        let debug = format!("{error:?}");
        let said = format!("{:#} {debug}", anyhow::Error::from(error));
        assert!(said.contains(&address.to_string()), "{said}");
        assert!(!said.contains("secret"), "{said}");
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
    }
    Ok(())
}
