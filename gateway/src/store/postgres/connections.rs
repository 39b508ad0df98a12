//! A few connections that are kept, each with a session that commits durably and gives up in time.

use std::{future::Future, pin::Pin, time::Duration};

use deadpool_postgres::{
    ClientWrapper, Connect, Manager, ManagerConfig, Object, Pool, RecyclingMethod, Runtime, Timeouts,
};
use tokio::task::JoinHandle;
use tokio_postgres::{Client, Config, Connection, Error, NoTls, Socket, tls::TlsStream};
use tokio_postgres_rustls::MakeRustlsConnect;

use super::{error::HistoryError, url::Target};

/// Connections of one gateway. Postgres makes a process of each and commits of several together; a few keep it busy, and
/// ten replicas stay below the hundred connections that a server takes by default.
pub(super) const CONNECTIONS: usize = 8;
/// Longest wait for a free connection: twice what a full report takes on a busy server.
const FREE_WITHIN: Duration = Duration::from_secs(2);
/// Longest wait for a new connection: a start has to say within five seconds what keeps it from serving.
const CONNECTED_WITHIN: Duration = Duration::from_secs(3);

/// What each session begins with. `synchronous_commit` off would acknowledge what a crash of the server still loses
/// . A statement ends before the step does that waits for it; a transaction whose gateway vanished ends soon after.
/// Every statement here seeks or follows an index; what the planner believes of a table that is new, or has never been
/// analysed, must not change that.
const SESSION: &str = "SELECT set_config('synchronous_commit', 'on', false) \
     WHERE current_setting('synchronous_commit') = 'off'; \
     SET statement_timeout = '4s'; SET idle_in_transaction_session_timeout = '10s'; \
     SET default_transaction_isolation = 'read committed'; SET jit = off; \
     SET enable_seqscan = off; SET enable_bitmapscan = off";

/// The connections.
pub(super) struct Connections {
    pool: Pool,
}

/// A connection in use. It goes back only if it is [given back](Self::give_back): what was dropped in the middle of a
/// statement, or met an error, is closed.
pub(super) struct Lease {
    object: Option<Object>,
}

impl Connections {
    /// Opens none yet.
    pub(super) fn new(target: &Target) -> Result<Self, HistoryError> {
        let how = ManagerConfig {
            recycling_method: RecyclingMethod::Fast,
        };
        let connector = Connector {
            tls: target.tls.clone(),
        };
        let manager = Manager::from_connect(target.config.clone(), connector, how);
        let pool = Pool::builder(manager)
            .max_size(CONNECTIONS)
            .runtime(Runtime::Tokio1)
            .timeouts(Timeouts {
                wait: Some(FREE_WITHIN),
                create: Some(CONNECTED_WITHIN),
                recycle: None,
            })
            .build()
            .map_err(|_| HistoryError::NoConnection)?;
        Ok(Self { pool })
    }

    /// A connection: one that is free, or a new one.
    pub(super) async fn lease(&self) -> Result<Lease, HistoryError> {
        // Those that a restart of the server has closed go without a word: that history failed is said elsewhere, once.
        let _closed = self.pool.retain(|client, _| !client.is_closed());
        let object = self.pool.get().await?;
        Ok(Lease { object: Some(object) })
    }
}

impl Lease {
    /// The connection.
    pub(super) fn client(&mut self) -> Result<&mut ClientWrapper, HistoryError> {
        match &mut self.object {
            Some(object) => Ok(object),
            None => Err(HistoryError::NoConnection),
        }
    }

    /// No statement is under way: others may have it.
    pub(super) fn give_back(mut self) {
        drop(self.object.take());
    }

    /// Passes on what a step came to. Only a connection on which everything is over is given back.
    pub(super) fn end<T>(self, done: Result<T, HistoryError>) -> Result<T, HistoryError> {
        if matches!(done, Ok(_) | Err(HistoryError::Diverged { .. })) {
            self.give_back();
        }
        done
    }
}

impl Drop for Lease {
    fn drop(&mut self) {
        if let Some(object) = self.object.take() {
            drop(Object::take(object));
        }
    }
}

/// Makes connections.
struct Connector {
    tls: Option<MakeRustlsConnect>,
}

type Connected = Result<(Client, JoinHandle<()>), Error>;

impl Connect for Connector {
    fn connect(&self, config: &Config) -> Pin<Box<dyn Future<Output = Connected> + Send + '_>> {
        let config = config.clone();
        Box::pin(async move {
            let (client, task) = match &self.tls {
                Some(tls) => {
                    let (client, connection) = config.connect(tls.clone()).await?;
                    (client, spawn(connection))
                }
                None => {
                    let (client, connection) = config.connect(NoTls).await?;
                    (client, spawn(connection))
                }
            };
            client.batch_execute(SESSION).await?;
            Ok((client, task))
        })
    }
}

/// Runs a connection to its end. Why it ended is what the step that used it is told.
fn spawn<T>(connection: Connection<Socket, T>) -> JoinHandle<()>
where
    T: TlsStream + Unpin + Send + 'static,
{
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!(%error, "a connection to Postgres ended");
        }
    })
}
