//! HTTP/3's view of QUIC with a [`Meter`] on every stream a peer sends on.
//!
//! h3 0.0.8 buffers incomplete frames without limit; here they never reach it. A request stream that sends too much is
//! reset with H3_EXCESSIVE_LOAD and its connection lives on; on the control stream the connection is closed with it.
//! The wrapper also keeps h3-quinn 0.0.10 from panicking when a stream is stopped or named while a read is pending.

use std::task::{Context, Poll};

use bytes::{Buf, Bytes};
use h3::{
    error::Code,
    quic::{self, ConnectionErrorIncoming, StreamErrorIncoming, StreamId, WriteBuf},
};
use quinn::VarInt;

use super::meter::{Excess, Meter};

/// H3_EXCESSIVE_LOAD (RFC 9114, section 8.1).
const EXCESSIVE_LOAD: VarInt = VarInt::from_u32(0x107);

/// A connection whose streams are metered.
pub struct Connection {
    inner: h3_quinn::Connection,
    connection: quinn::Connection,
}

/// A request stream, metered.
pub struct BidiStream<B: Buf> {
    inner: h3_quinn::BidiStream<B>,
    gate: Gate,
}

/// A stream the peer opened to us, or the receiving half of a request stream, metered.
pub struct RecvStream {
    inner: h3_quinn::RecvStream,
    gate: Gate,
}

/// What a receiving stream needs besides the stream itself.
struct Gate {
    meter: Meter,
    id: StreamId,
    /// A read is under way inside h3-quinn, which then cannot stop or name the stream without panicking.
    reading: bool,
    /// Set for streams whose excess ends the connection.
    connection: Option<quinn::Connection>,
}

impl Connection {
    /// Wraps a QUIC connection.
    pub fn new(connection: quinn::Connection) -> Self {
        Self {
            inner: h3_quinn::Connection::new(connection.clone()),
            connection,
        }
    }
}

impl<B: Buf> quic::Connection<B> for Connection {
    type RecvStream = RecvStream;
    type OpenStreams = Opener;

    fn poll_accept_recv(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<RecvStream, ConnectionErrorIncoming>> {
        let accepted = quic::Connection::<B>::poll_accept_recv(&mut self.inner, cx);
        let connection = self.connection.clone();
        accepted.map_ok(|inner| RecvStream {
            gate: Gate::new(
                Meter::unidirectional(),
                quic::RecvStream::recv_id(&inner),
                Some(connection),
            ),
            inner,
        })
    }

    fn poll_accept_bidi(
        &mut self,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Self::BidiStream, ConnectionErrorIncoming>> {
        quic::Connection::<B>::poll_accept_bidi(&mut self.inner, cx).map_ok(BidiStream::new)
    }

    fn opener(&self) -> Opener {
        Opener(quic::Connection::<Bytes>::opener(&self.inner))
    }
}

/// Opens streams of our own.
pub struct Opener(h3_quinn::OpenStreams);

/// The same three calls for the connection and for its opener.
macro_rules! opens_streams {
    ($type:ty, $field:tt) => {
        impl<B: Buf> quic::OpenStreams<B> for $type {
            type BidiStream = BidiStream<B>;
            type SendStream = h3_quinn::SendStream<B>;

            fn poll_open_bidi(
                &mut self,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Self::BidiStream, StreamErrorIncoming>> {
                quic::OpenStreams::<B>::poll_open_bidi(&mut self.$field, cx).map_ok(BidiStream::new)
            }

            fn poll_open_send(
                &mut self,
                cx: &mut Context<'_>,
            ) -> Poll<Result<Self::SendStream, StreamErrorIncoming>> {
                quic::OpenStreams::<B>::poll_open_send(&mut self.$field, cx)
            }

            fn close(&mut self, code: Code, reason: &[u8]) {
                quic::OpenStreams::<B>::close(&mut self.$field, code, reason);
            }
        }
    };
}
opens_streams!(Connection, inner);
opens_streams!(Opener, 0);

impl Gate {
    fn new(meter: Meter, id: StreamId, connection: Option<quinn::Connection>) -> Self {
        Self {
            meter,
            id,
            reading: false,
            connection,
        }
    }

    /// Reads through the meter. On excess the stream is stopped, and the error is what h3 takes for a reset.
    fn poll_data(
        &mut self,
        stream: &mut impl quic::RecvStream<Buf = Bytes>,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let read = stream.poll_data(cx);
        self.reading = read.is_pending();
        let Poll::Ready(Ok(Some(bytes))) = read else {
            return read;
        };
        match self.meter.take(&bytes) {
            Ok(()) => Poll::Ready(Ok(Some(bytes))),
            Err(excess) => {
                stream.stop_sending(EXCESSIVE_LOAD.into_inner());
                self.close(excess);
                Poll::Ready(Err(StreamErrorIncoming::StreamTerminated {
                    error_code: EXCESSIVE_LOAD.into_inner(),
                }))
            }
        }
    }

    fn close(&self, excess: Excess) {
        if let Some(connection) = &self.connection {
            connection.close(EXCESSIVE_LOAD, excess.to_string().as_bytes());
        }
    }
}

impl quic::RecvStream for RecvStream {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        self.gate.poll_data(&mut self.inner, cx)
    }

    fn stop_sending(&mut self, error_code: u64) {
        // While a read is pending the stream is out of reach; dropping it then stops it too, with code 0.
        if !self.gate.reading {
            self.inner.stop_sending(error_code);
        }
    }

    fn recv_id(&self) -> StreamId {
        self.gate.id
    }
}

impl<B: Buf> BidiStream<B> {
    fn new(inner: h3_quinn::BidiStream<B>) -> Self {
        let id = quic::SendStream::<B>::send_id(&inner);
        Self {
            inner,
            gate: Gate::new(Meter::request(), id, None),
        }
    }
}

impl<B: Buf> quic::RecvStream for BidiStream<B> {
    type Buf = Bytes;

    fn poll_data(&mut self, cx: &mut Context<'_>) -> Poll<Result<Option<Bytes>, StreamErrorIncoming>> {
        let read = self.gate.poll_data(&mut self.inner, cx);
        if let Poll::Ready(Err(StreamErrorIncoming::StreamTerminated { error_code })) = &read
            && *error_code == EXCESSIVE_LOAD.into_inner()
        {
            quic::SendStream::<B>::reset(&mut self.inner, *error_code);
        }
        read
    }

    fn stop_sending(&mut self, error_code: u64) {
        if !self.gate.reading {
            quic::RecvStream::stop_sending(&mut self.inner, error_code);
        }
    }

    fn recv_id(&self) -> StreamId {
        self.gate.id
    }
}

impl<B: Buf> quic::SendStream<B> for BidiStream<B> {
    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_ready(cx)
    }

    fn send_data<T: Into<WriteBuf<B>>>(&mut self, data: T) -> Result<(), StreamErrorIncoming> {
        self.inner.send_data(data)
    }

    fn poll_finish(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), StreamErrorIncoming>> {
        self.inner.poll_finish(cx)
    }

    fn reset(&mut self, reset_code: u64) {
        self.inner.reset(reset_code);
    }

    fn send_id(&self) -> StreamId {
        self.gate.id
    }
}

impl<B: Buf> quic::BidiStream<B> for BidiStream<B> {
    type SendStream = h3_quinn::SendStream<B>;
    type RecvStream = RecvStream;

    fn split(self) -> (Self::SendStream, Self::RecvStream) {
        let (send, inner) = quic::BidiStream::split(self.inner);
        (
            send,
            RecvStream {
                inner,
                gate: self.gate,
            },
        )
    }
}
