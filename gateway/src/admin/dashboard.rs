//! The dashboard: one page and its script, which reads the read API and the metrics. Nothing comes from elsewhere, and
//! everything devices wrote is shown as text, never as markup.

use axum::{http::header, response::IntoResponse};

/// Only our own script and style, no frames, and requests to nobody but us.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; \
     frame-ancestors 'none'; base-uri 'none'; form-action 'none'";

/// `GET /`
pub(super) async fn page() -> impl IntoResponse {
    file("text/html; charset=utf-8", include_str!("dashboard/index.html"))
}

/// `GET /dashboard.js`
pub(super) async fn script() -> impl IntoResponse {
    file(
        "text/javascript; charset=utf-8",
        include_str!("dashboard/dashboard.js"),
    )
}

/// `GET /dashboard.css`
pub(super) async fn style() -> impl IntoResponse {
    file("text/css; charset=utf-8", include_str!("dashboard/dashboard.css"))
}

fn file(media_type: &'static str, content: &'static str) -> impl IntoResponse {
    let headers = [
        (header::CONTENT_TYPE, media_type),
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::CACHE_CONTROL, "no-cache"),
    ];
    (headers, content)
}
