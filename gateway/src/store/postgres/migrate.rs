//! The schema: made and brought up to date under a lock, so that several replicas may start at once. Never reset.

use tokio_postgres::{Client, GenericClient};

use super::error::{HistoryError, OpenHistoryError};

/// What makes each version out of the one before; the first makes version 1.
const MIGRATIONS: [&str; 1] = [include_str!("migrations/0001_history.sql")];
/// The advisory lock of whoever migrates: "apollo" in ASCII and a number.
const LOCK: i64 = 0x6170_6f6c_6c6f_0001;

/// What is there.
enum Found {
    /// No schema `apollo`, or an empty one that an administrator has made for us.
    Nothing { schema_exists: bool },
    /// Tables, but none that says a version.
    Foreign,
    /// Ours.
    Version(i32),
}

/// Brings the schema to this program's version. Everything or nothing: it is one transaction.
pub(super) async fn migrate(client: &mut Client, server: &str) -> Result<(), OpenHistoryError> {
    let unusable = |error: HistoryError| OpenHistoryError::Unusable {
        server: server.to_owned(),
        source: error,
    };
    check_encoding(client, server).await?;
    // Without the lock first: a role that may not create anything is enough once somebody has.
    if steps(find(client).await.map_err(unusable)?, server)?.is_empty() {
        return Ok(());
    }
    let transaction = client
        .transaction()
        .await
        .map_err(HistoryError::from)
        .map_err(unusable)?;
    transaction
        .execute("SELECT pg_advisory_xact_lock($1)", &[&LOCK])
        .await
        .map_err(HistoryError::from)
        .map_err(unusable)?;
    let found = find(&transaction).await.map_err(unusable)?;
    if matches!(found, Found::Nothing { schema_exists: false }) {
        let created = transaction.batch_execute("CREATE SCHEMA apollo").await;
        created.map_err(HistoryError::from).map_err(unusable)?;
    }
    for (version, sql) in steps(found, server)? {
        let applied = apply(&transaction, version, sql).await;
        applied.map_err(HistoryError::from).map_err(unusable)?;
    }
    transaction
        .commit()
        .await
        .map_err(HistoryError::from)
        .map_err(unusable)
}

async fn apply(
    transaction: &tokio_postgres::Transaction<'_>,
    version: i32,
    sql: &str,
) -> Result<(), tokio_postgres::Error> {
    transaction.batch_execute(sql).await?;
    transaction
        .execute("INSERT INTO apollo.migrations (version) VALUES ($1)", &[&version])
        .await?;
    Ok(())
}

/// Any other encoding has characters that it cannot hold, and their observations would fail for ever.
async fn check_encoding(client: &Client, server: &str) -> Result<(), OpenHistoryError> {
    let asked = client
        .query_one("SELECT current_setting('server_encoding')", &[])
        .await;
    let found: Result<String, _> = asked.and_then(|row| row.try_get(0));
    match found {
        Ok(found) if found == "UTF8" => Ok(()),
        Ok(found) => Err(OpenHistoryError::NotUtf8 {
            server: server.to_owned(),
            found,
        }),
        Err(error) => Err(OpenHistoryError::Unusable {
            server: server.to_owned(),
            source: error.into(),
        }),
    }
}

async fn find(client: &impl GenericClient) -> Result<Found, HistoryError> {
    let row = client
        .query_one(
            "SELECT EXISTS (SELECT FROM pg_namespace WHERE nspname = 'apollo'), \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE n.nspname = 'apollo'), \
             EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace \
             WHERE n.nspname = 'apollo' AND c.relname = 'migrations')",
            &[],
        )
        .await?;
    let (schema_exists, has_tables, has_versions): (bool, bool, bool) =
        (row.try_get(0)?, row.try_get(1)?, row.try_get(2)?);
    if !has_versions {
        return Ok(if has_tables {
            Found::Foreign
        } else {
            Found::Nothing { schema_exists }
        });
    }
    let row = client
        .query_one("SELECT coalesce(max(version), 0) FROM apollo.migrations", &[])
        .await?;
    Ok(Found::Version(row.try_get(0)?))
}

/// What is left to apply, with the version that each makes.
fn steps(found: Found, server: &str) -> Result<Vec<(i32, &'static str)>, OpenHistoryError> {
    let all = || (1..).zip(MIGRATIONS);
    let known = all().last().map_or(0, |(version, _)| version);
    let from = match found {
        Found::Nothing { .. } => 0,
        Found::Foreign => {
            return Err(OpenHistoryError::Foreign {
                server: server.to_owned(),
            });
        }
        Found::Version(found) if found > known => {
            return Err(OpenHistoryError::Newer {
                server: server.to_owned(),
                found,
                known,
            });
        }
        Found::Version(version) => version,
    };
    Ok(all().filter(|(version, _)| *version > from).collect())
}
