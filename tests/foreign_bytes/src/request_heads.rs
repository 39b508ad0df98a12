//! What a gateway reads of a request besides its frame: media types, conditions, how long to wait, lengths and codings
//! of bodies.

use std::{cell::OnceCell, time::Duration};

use apollo_gateway::api::{
    body::{self, Body, BodyError, Refused, Room},
    desired, negotiate,
    reply::Reply,
};
use apollo_gateway_core::{desired::Form, etag::ETag};
use apollo_wire::json;
use bytes::Bytes;
use http::{StatusCode, header};
use tokio::{runtime::Runtime, sync::Semaphore};

use crate::{http_text::Message, memory::bounded};

/// Largest body in this check, small so that unpacking goes beyond it.
const BODY_BYTES_MAX: usize = 16 * 1024;
/// What reading a body may hold: the received and the unpacked one, each in a buffer that doubles, and what the gzip
/// decoder needs for itself.
const HELD_BYTES_MAX: usize = 8 * BODY_BYTES_MAX + 256 * 1024;
/// Longest `wait`, as documented.
const WAIT_MAX: Duration = Duration::from_secs(3600);

thread_local! {
    /// Reading a body is async; nothing in it waits.
    static RUNTIME: OnceCell<Runtime> = const { OnceCell::new() };
}

/// A query, headers, an empty line and a body. Refusals are problem documents that name what was wrong; a body is never
/// larger than the limit, packed or not.
pub fn request_heads(bytes: &[u8]) {
    let Some(message) = Message::read(bytes) else {
        return;
    };
    match desired::wait(Some(message.first)) {
        Ok(wait) => assert!(wait <= WAIT_MAX),
        Err(reply) => check_problem(&reply, "wait"),
    }
    check_conditions(&message);
    let form = match negotiate::request_form(&message.headers) {
        Ok(form) => form,
        Err(reply) => return check_problem(&reply, "Content-Type"),
    };
    check_accept(&message, form);
    check_body(&message, form);
}

fn check_conditions(message: &Message<'_>) {
    let Some(value) = desired::if_none_match(&message.headers) else {
        return;
    };
    let tag = ETag::of([]);
    let first = format!("{}, {value}", tag.as_str());
    assert!(tag.matches(&first), "the first of a list counts: {first}");
    assert!(tag.matches(&format!("W/{first}")), "weakly, too");
    if !value.contains(tag.as_str()) && value.trim() != "*" {
        assert!(!tag.matches(&value), "{value:?} does not name {}", tag.as_str());
    }
}

fn check_accept(message: &Message<'_>, form: Form) {
    let accepts: Vec<_> = message.headers.get_all(header::ACCEPT).iter().collect();
    let chosen = negotiate::reply_form(&message.headers, form);
    if accepts.is_empty() {
        return assert_eq!(chosen, Ok(form), "the form of the request");
    }
    for default in [Form::Binary, Form::Json] {
        assert_eq!(
            negotiate::reply_form(&message.headers, default),
            chosen,
            "a default does not count"
        );
    }
    if let Err(reply) = chosen {
        assert_eq!(reply.status, StatusCode::NOT_ACCEPTABLE);
        check_problem(&reply, "Accept");
    }
}

fn check_body(message: &Message<'_>, form: Form) {
    let budget = Semaphore::new(2 * BODY_BYTES_MAX);
    let room = Room {
        body_max: BODY_BYTES_MAX,
        budget: &budget,
    };
    let read = RUNTIME.with(|runtime| {
        let runtime = runtime.get_or_init(|| {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().expect("a runtime")
        });
        bounded(HELD_BYTES_MAX, || {
            runtime.block_on(body::read(
                &message.headers,
                form,
                room,
                &mut Pieces(message.body),
            ))
        })
    });
    let coding = message.headers.get(header::CONTENT_ENCODING);
    match read {
        Ok(body) if coding.is_none() => assert_eq!(body, message.body),
        Ok(body) => assert!(body.len() <= BODY_BYTES_MAX),
        Err(Refused::Reply(reply)) => {
            assert!(reply.status.is_client_error(), "{}", reply.status);
            assert!(json::decode_problem(&reply.body).is_ok());
        }
        Err(Refused::Gone) => panic!("the whole body was there"),
    }
    assert_eq!(
        budget.available_permits(),
        2 * BODY_BYTES_MAX,
        "all room is given back"
    );
}

/// A refusal that names a field.
fn check_problem(reply: &Reply, field: &str) {
    assert!(reply.status.is_client_error(), "{}", reply.status);
    let problem = json::decode_problem(&reply.body).expect("a problem document");
    assert_eq!(problem.status, reply.status.as_u16());
    assert_eq!(problem.field.as_deref(), Some(field));
}

/// A body that arrives in pieces of a datagram.
struct Pieces<'a>(&'a [u8]);

impl Body for Pieces<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        let (piece, rest) = self.0.split_at(self.0.len().min(1200));
        self.0 = rest;
        Ok((!piece.is_empty()).then(|| Bytes::copy_from_slice(piece)))
    }
}
