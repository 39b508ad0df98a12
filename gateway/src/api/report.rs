//! `POST /v1/report`: decode, have it settled, answer with the verdicts.

use apollo_gateway_core::desired::Form;
use apollo_wire::{DeviceName, Report, Verdicts, binary, json};
use http::{HeaderValue, StatusCode, header, request::Parts};

use super::{
    Api,
    body::{self, Body, Refused, Room},
    negotiate,
    reply::Reply,
};
use crate::{
    service::{ReportAnswer, Unsettled, slots},
    store::Store,
};

impl<S: Store> Api<S> {
    pub(super) async fn report(
        &self,
        head: &Parts,
        body: &mut impl Body,
        device: &DeviceName,
    ) -> Option<Reply> {
        // Taken before the body is read: what a device makes us hold is bounded as well as what it makes us do.
        let Some(_slot) = self.service.device_slot(device) else {
            return Some(refusal(&Unsettled::TooManyAtOnce));
        };
        let (report, reply_form) = match self.read_report(head, body).await {
            Ok(read) => read,
            Err(Refused::Reply(reply)) => return Some(*reply),
            Err(Refused::Gone) => return None,
        };
        Some(match self.service.report(device, report).await {
            Ok(ReportAnswer { verdicts, forbidden }) => {
                let status = if forbidden {
                    StatusCode::FORBIDDEN
                } else {
                    StatusCode::OK
                };
                verdicts_reply(status, reply_form, &verdicts)
            }
            Err(unsettled) => refusal(&unsettled),
        })
    }

    async fn read_report(&self, head: &Parts, body: &mut impl Body) -> Result<(Report, Form), Refused> {
        let form = negotiate::request_form(&head.headers)?;
        let reply_form = negotiate::reply_form(&head.headers, form)?;
        let room = Room {
            body_max: self.max_body,
            budget: &self.body_budget,
        };
        let bytes = body::read(&head.headers, form, room, body).await?;
        let report = match form {
            Form::Json => json::decode_report(&bytes)
                .map_err(|error| malformed(&chain(&error), Some(error.field().to_owned())))?,
            Form::Binary => binary::decode_report(&bytes).map_err(|error| {
                if error.is_too_large() {
                    Reply::problem(StatusCode::PAYLOAD_TOO_LARGE, error.to_string(), None)
                } else {
                    malformed(&error.to_string(), None)
                }
            })?,
        };
        Ok((report, reply_form))
    }
}

fn verdicts_reply(status: StatusCode, form: Form, verdicts: &Verdicts) -> Reply {
    match form {
        Form::Binary => Reply::with_body(status, binary::encode_verdicts(verdicts)),
        Form::Json => Reply::with_body(status, json::encode_verdicts(verdicts))
            .header(header::CONTENT_TYPE, HeaderValue::from_static(json::MEDIA_TYPE)),
    }
}

fn refusal(unsettled: &Unsettled) -> Reply {
    let (status, retry_after) = match unsettled {
        Unsettled::Refused(_) => (StatusCode::FORBIDDEN, None),
        Unsettled::TooManyAtOnce => (StatusCode::TOO_MANY_REQUESTS, Some(slots::RETRY_AFTER)),
        Unsettled::Busy { retry_after } => (StatusCode::SERVICE_UNAVAILABLE, Some(*retry_after)),
    };
    let reply = Reply::problem(status, unsettled.to_string(), None);
    match retry_after {
        Some(after) => reply.retry_after(after),
        None => reply,
    }
}

fn malformed(detail: &str, field: Option<String>) -> Reply {
    Reply::problem(StatusCode::BAD_REQUEST, detail, field)
}

/// An error and what caused it, in one line.
fn chain(error: &dyn std::error::Error) -> String {
    match error.source() {
        Some(source) => format!("{error}: {}", chain(source)),
        None => error.to_string(),
    }
}
