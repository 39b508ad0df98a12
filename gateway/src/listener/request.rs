//! One request on its stream: headers, body, answer, each within its time.

use std::{sync::Arc, time::Duration};

use bytes::{Buf, Bytes};
use h3::{error::Code, server::RequestResolver};
use tokio::time::{Instant, timeout, timeout_at};

use super::{
    Shared,
    caller::Caller,
    guard,
    in_work::{Entry, InWork},
    limits,
};
use crate::{
    api::{
        Companion,
        body::{Body, BodyError},
        reply::Reply,
    },
    store::Store,
};

type Stream = h3::server::RequestStream<guard::BidiStream<Bytes>, Bytes>;

/// Serves one request. Whatever goes wrong ends this stream at most; only a flood of broken ones ends the connection.
/// `entry` counts it among those `in_work` from the moment its stream was accepted.
pub(super) async fn serve<S: Store>(
    resolver: RequestResolver<guard::Connection, Bytes>,
    caller: Arc<Caller>,
    shared: Arc<Shared<S>>,
    in_work: &InWork,
    entry: Entry<'_>,
) {
    let Ok(Ok((request, mut stream))) = timeout(limits::HEADER_TIMEOUT, resolver.resolve_request()).await
    else {
        if caller.count_broken_request() > limits::BROKEN_REQUESTS {
            let code = quinn::VarInt::from_u32(0x107); // H3_EXCESSIVE_LOAD
            caller
                .connection()
                .close(code, b"too many requests without headers");
        }
        return;
    };
    let (head, ()) = request.into_parts();
    let companion = Companion::of(&head);
    // Until its answer is written; others are known now to be no reports.
    let _entry = (companion == Companion::Report).then_some(entry);
    if companion == Companion::Poll {
        in_work.none().await;
    }
    let identity = caller.identity((shared.clock)());
    let mut body = StreamBody {
        stream: &mut stream,
        deadline: Instant::now() + limits::BODY_TIMEOUT,
        ended: false,
    };
    let answer = tokio::select! {
        answer = shared.api.answer(&head, &mut body, identity) => answer,
        // A poll held for a device that has gone is let go. Dropping an answer half made is sound at any step.
        _ = caller.connection().closed() => None,
    };
    let ended = body.ended;
    match answer {
        Some(reply) => {
            // Nobody is told that an answer could not be delivered: the device asks again.
            let _ = timeout(limits::SEND_TIMEOUT, send(&mut stream, reply, ended)).await;
        }
        None => stream.stop_stream(Code::H3_REQUEST_CANCELLED),
    }
}

async fn send(stream: &mut Stream, reply: Reply, body_ended: bool) -> Result<(), h3::error::StreamError> {
    let mut response = http::Response::new(());
    *response.status_mut() = reply.status;
    response.headers_mut().extend(reply.headers);
    stream.send_response(response).await?;
    if !reply.body.is_empty() {
        stream.send_data(reply.body).await?;
    }
    stream.finish().await?;
    // One look for the end of an unread request: without it, dropping the stream would send STOP_SENDING for nothing.
    if !body_ended && !matches!(timeout(Duration::ZERO, stream.recv_data()).await, Ok(Ok(None))) {
        stream.stop_sending(Code::H3_NO_ERROR);
    }
    Ok(())
}

struct StreamBody<'a> {
    stream: &'a mut Stream,
    deadline: Instant,
    ended: bool,
}

impl Body for StreamBody<'_> {
    async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
        match timeout_at(self.deadline, self.stream.recv_data()).await {
            Ok(Ok(Some(mut piece))) => Ok(Some(piece.copy_to_bytes(piece.remaining()))),
            Ok(Ok(None)) => {
                self.ended = true;
                Ok(None)
            }
            Ok(Err(_)) => Err(BodyError::Broken),
            Err(_) => Err(BodyError::Timeout),
        }
    }
}
