//! TCP connections of the admin port: so many, so long, and no waiting for slow headers.

use std::{sync::Arc, time::Duration};

use axum::{Router, extract::DefaultBodyLimit, http::StatusCode, middleware, response::IntoResponse};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
    service::TowerToHyperService,
};
use tokio::{net::TcpListener, sync::Semaphore};

/// Connections at once: a few people, a scraper, probes.
const CONNECTIONS: usize = 64;
/// Longest life of a connection; dashboards and scrapers simply connect again.
const CONNECTION_LIFE: Duration = Duration::from_secs(600);
/// Time for a request's headers.
const HEADER_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for an answer.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);
/// Header bytes, HTTP/1; the smallest hyper takes is 8 KiB.
const HEADER_BYTES: usize = 16 * 1024;
/// Streams of one HTTP/2 connection.
const STREAMS: u32 = 16;
/// Pause after an error of accept(), such as too many open files: it will not be gone at once.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Accepts connections for ever.
pub(super) async fn serve(listener: TcpListener, router: Router) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    // Nothing here takes a body.
    let router = router.layer(DefaultBodyLimit::max(0)).layer(middleware::from_fn(
        async |request: axum::extract::Request, next: middleware::Next| match tokio::time::timeout(
            ANSWER_TIMEOUT,
            next.run(request),
        )
        .await
        {
            Ok(response) => response,
            Err(_) => StatusCode::GATEWAY_TIMEOUT.into_response(),
        },
    ));
    loop {
        // Full means that newcomers wait in the system's backlog, which is bounded too.
        let Ok(permit) = room.clone().acquire_owned().await else {
            return;
        };
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                tracing::debug!(%error, "admin port");
                tokio::time::sleep(ACCEPT_PAUSE).await;
                continue;
            }
        };
        let service = TowerToHyperService::new(router.clone());
        tokio::spawn(async move {
            let mut builder = auto::Builder::new(TokioExecutor::new());
            builder
                .http1()
                .timer(TokioTimer::new())
                .header_read_timeout(HEADER_TIMEOUT)
                .max_buf_size(HEADER_BYTES);
            builder
                .http2()
                .timer(TokioTimer::new())
                .max_concurrent_streams(STREAMS);
            let served = builder.serve_connection(TokioIo::new(stream), service);
            // A broken connection is its peer's affair.
            let _ = tokio::time::timeout(CONNECTION_LIFE, served).await;
            drop(permit);
        });
    }
}
