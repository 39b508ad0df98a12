//! Reading a request's body: never more than the limit, whether it is announced, not announced, or compressed.

use std::{future::Future, io::Read};

use bytes::{Bytes, BytesMut};
use http::{HeaderMap, StatusCode, header};

use apollo_gateway_core::desired::Form;
use tokio::sync::{Semaphore, SemaphorePermit};

use super::reply::Reply;
use crate::service::slots;

/// Largest window a zstd body may ask for: 8 MiB, the most RFC 8878 (section 3.1.1.1.2) expects a decoder to grant.
const ZSTD_WINDOW_LOG_MAX: u32 = 23;

/// Where the bytes of a body come from.
pub trait Body: Send {
    /// The next piece; `None` at the end.
    fn next(&mut self) -> impl Future<Output = Result<Option<Bytes>, BodyError>> + Send;
}

/// A body that did not arrive.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BodyError {
    /// The stream or the connection ended early: nobody is there to answer.
    #[error("the body broke off")]
    Broken,
    /// It took too long.
    #[error("the body did not arrive in time")]
    Timeout,
}

/// Why there is no body to decode.
#[derive(Debug, Clone, PartialEq)]
pub enum Refused {
    /// Answer this.
    Reply(Box<Reply>),
    /// The caller is gone.
    Gone,
}

impl From<Reply> for Refused {
    fn from(reply: Reply) -> Self {
        Self::Reply(Box::new(reply))
    }
}

/// Content codings a JSON body may have. Frames are compressed inside, where it pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Coding {
    Identity,
    Gzip,
    Zstd,
}

/// How much may be held.
#[derive(Debug, Clone, Copy)]
pub struct Room<'a> {
    /// Largest body, bytes.
    pub body_max: usize,
    /// One permit per byte, for all bodies being received.
    pub budget: &'a Semaphore,
}

/// Reads the whole body, at most `room.body_max` bytes, and undoes its content coding, to at most as many again.
pub async fn read(
    headers: &HeaderMap,
    form: Form,
    room: Room<'_>,
    body: &mut impl Body,
) -> Result<Bytes, Refused> {
    let max = room.body_max;
    let coding = coding(headers, form)?;
    let announced = announced_length(headers)?;
    if announced.is_some_and(|length| length > max as u64) {
        return Err(too_large(max).into());
    }
    let received = collect(room, body).await?;
    // h3 does not compare, and a stream dropped without a reset ends like a complete one: a cut body looks whole.
    if announced.is_some_and(|length| length != received.len() as u64) {
        let detail = format!("Content-Length: {} bytes arrived", received.len());
        let field = Some("Content-Length".to_owned());
        return Err(Reply::problem(StatusCode::BAD_REQUEST, detail, field).into());
    }
    match coding {
        Coding::Identity => Ok(received),
        Coding::Gzip => Ok(bounded(
            flate2::read::MultiGzDecoder::new(received.as_ref()),
            max,
        )?),
        Coding::Zstd => {
            let mut decoder =
                zstd::stream::read::Decoder::with_buffer(received.as_ref()).map_err(|_| undecodable())?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG_MAX)
                .map_err(|_| undecodable())?;
            Ok(bounded(decoder, max)?)
        }
    }
}

async fn collect(room: Room<'_>, body: &mut impl Body) -> Result<Bytes, Refused> {
    let mut received = BytesMut::new();
    let mut held: Option<SemaphorePermit<'_>> = None;
    loop {
        match body.next().await {
            Ok(Some(piece)) if piece.len() > room.body_max - received.len() => {
                return Err(too_large(room.body_max).into());
            }
            Ok(Some(piece)) => {
                let bytes = u32::try_from(piece.len()).unwrap_or(u32::MAX);
                let permit = room.budget.try_acquire_many(bytes).map_err(|_| no_room())?;
                match &mut held {
                    Some(held) => held.merge(permit),
                    None => held = Some(permit),
                }
                received.extend_from_slice(&piece);
            }
            Ok(None) => return Ok(received.freeze()),
            Err(BodyError::Broken) => return Err(Refused::Gone),
            Err(error @ BodyError::Timeout) => {
                return Err(Reply::problem(StatusCode::REQUEST_TIMEOUT, error.to_string(), None).into());
            }
        }
    }
}

/// 503: other bodies fill what there is.
fn no_room() -> Reply {
    Reply::problem(StatusCode::SERVICE_UNAVAILABLE, "too many bodies at once", None)
        .retry_after(slots::RETRY_AFTER)
}

fn coding(headers: &HeaderMap, form: Form) -> Result<Coding, Reply> {
    let Some(value) = headers.get(header::CONTENT_ENCODING) else {
        return Ok(Coding::Identity);
    };
    let name = value.to_str().unwrap_or_default().trim().to_ascii_lowercase();
    match (name.as_str(), form) {
        ("identity", _) => Ok(Coding::Identity),
        ("gzip" | "x-gzip", Form::Json) => Ok(Coding::Gzip),
        ("zstd", Form::Json) => Ok(Coding::Zstd),
        _ => Err(Reply::problem(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Encoding: expected gzip or zstd with JSON, none with a binary frame",
            Some("Content-Encoding".to_owned()),
        )),
    }
}

fn announced_length(headers: &HeaderMap) -> Result<Option<u64>, Reply> {
    let mut announced = None;
    for value in headers.get_all(header::CONTENT_LENGTH) {
        let length = value
            .to_str()
            .ok()
            .filter(|text| text.bytes().all(|byte| byte.is_ascii_digit()));
        let length = length.and_then(|text| text.parse::<u64>().ok());
        let consistent = length.is_some() && (announced.is_none() || announced == length);
        if !consistent {
            let field = Some("Content-Length".to_owned());
            return Err(Reply::problem(
                StatusCode::BAD_REQUEST,
                "Content-Length: expected one number",
                field,
            ));
        }
        announced = length;
    }
    Ok(announced)
}

/// Decodes at most `max` bytes; one past is too large.
fn bounded(decoder: impl Read, max: usize) -> Result<Bytes, Reply> {
    let mut decoded = Vec::new();
    decoder
        .take(max as u64 + 1)
        .read_to_end(&mut decoded)
        .map_err(|_| undecodable())?;
    if decoded.len() > max {
        Err(too_large(max))
    } else {
        Ok(decoded.into())
    }
}

/// 413
pub fn too_large(max: usize) -> Reply {
    Reply::problem(
        StatusCode::PAYLOAD_TOO_LARGE,
        format!("the body is larger than {max} bytes"),
        None,
    )
}

fn undecodable() -> Reply {
    let field = Some("Content-Encoding".to_owned());
    Reply::problem(
        StatusCode::BAD_REQUEST,
        "Content-Encoding: the body is not in this coding",
        field,
    )
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    /// A body in given pieces.
    struct Pieces(Vec<Result<Bytes, BodyError>>);

    impl Body for Pieces {
        async fn next(&mut self) -> Result<Option<Bytes>, BodyError> {
            if self.0.is_empty() {
                Ok(None)
            } else {
                self.0.remove(0).map(Some)
            }
        }
    }

    fn pieces(pieces: &[&'static [u8]]) -> Pieces {
        Pieces(pieces.iter().map(|piece| Ok(Bytes::from_static(piece))).collect())
    }

    async fn read_as(length: Option<&str>, budget: &Semaphore, body: &mut Pieces) -> Result<Bytes, Refused> {
        let mut headers = HeaderMap::new();
        if let Some(length) = length {
            headers.insert(header::CONTENT_LENGTH, HeaderValue::from_str(length).unwrap());
        }
        read(&headers, Form::Binary, Room { body_max: 6, budget }, body).await
    }

    fn code(refused: Result<Bytes, Refused>) -> Option<u16> {
        match refused.unwrap_err() {
            Refused::Reply(reply) => Some(reply.status.as_u16()),
            Refused::Gone => None,
        }
    }

    #[tokio::test]
    async fn a_body_is_whole_or_refused() {
        let budget = Semaphore::new(100);
        let whole = read_as(Some("6"), &budget, &mut pieces(&[b"abc", b"def"])).await;
        assert_eq!(whole.unwrap(), "abcdef");
        assert_eq!(
            code(read_as(None, &budget, &mut pieces(&[b"abc", b"defg"])).await),
            Some(413)
        );
        assert_eq!(
            code(read_as(Some("5"), &budget, &mut pieces(&[b"abc", b"def"])).await),
            Some(400)
        );
        assert_eq!(
            code(read_as(Some("7"), &budget, &mut pieces(&[])).await),
            Some(413)
        );
        for bad in ["", "-1", "+1", "1,2", "99999999999999999999999"] {
            assert_eq!(
                code(read_as(Some(bad), &budget, &mut pieces(&[])).await),
                Some(400),
                "{bad}"
            );
        }
        let broken = &mut Pieces(vec![Err(BodyError::Broken)]);
        assert_eq!(code(read_as(None, &budget, broken).await), None);
        let late = &mut Pieces(vec![Err(BodyError::Timeout)]);
        assert_eq!(code(read_as(None, &budget, late).await), Some(408));
    }

    #[tokio::test]
    async fn bodies_share_a_budget_and_give_it_back() {
        let budget = Semaphore::new(6);
        assert!(
            read_as(None, &budget, &mut pieces(&[b"abc", b"def"]))
                .await
                .is_ok()
        );
        let held = budget.try_acquire().unwrap();
        assert_eq!(
            code(read_as(None, &budget, &mut pieces(&[b"abc", b"def"])).await),
            Some(503)
        );
        drop(held);
        assert_eq!(budget.available_permits(), 6);
    }
}
