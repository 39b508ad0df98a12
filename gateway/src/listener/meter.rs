//! Counts what a peer sends on one stream, frame by frame, so that nothing below HTTP/3 can grow without bound.
//!
//! h3 0.0.8 keeps every frame but DATA in memory until it is complete, whatever length the peer announced. The meter
//! reads the same frame headers (RFC 9114, section 7.1) and refuses a frame as soon as its header announces too much.

/// Frame type of DATA (RFC 9114, section 7.2.1): handed on as it arrives, bounded by whoever reads the body.
const DATA: u64 = 0x00;
/// Stream type of the control stream (RFC 9114, section 6.2.1).
const CONTROL: u64 = 0x00;

/// A frame that is not DATA: a header block of 4,096 bytes decoded is never longer than that encoded; some slack for
/// clients that count differently.
pub const FRAME_BYTES_MAX: u64 = 8 * 1024;
/// All frames of a request stream that are not DATA: headers, trailers, and unknown ones that are skipped.
pub const REQUEST_BYTES_MAX: u64 = 32 * 1024;
/// A connection's control stream over all its life: SETTINGS and a few frames; more is a flood.
pub const CONTROL_BYTES_MAX: u64 = 64 * 1024;
/// Other streams of a client: QPACK without dynamic table sends nothing but the stream type.
pub const OTHER_BYTES_MAX: u64 = 4 * 1024;

/// A peer sent, or announced, more than a stream may carry.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("more than {max} bytes")]
pub struct Excess {
    /// The bound.
    pub max: u64,
}

/// The state of one stream.
#[derive(Debug, Clone)]
pub struct Meter {
    expect: Expect,
    /// Bytes of an unfinished variable-length integer (RFC 9000, section 16).
    integer: u64,
    integer_left: u8,
    frame_type: u64,
    /// Bytes left in the current frame's payload.
    payload_left: u64,
    /// Bytes that count against `budget`: everything but DATA frames with something in them.
    counted: u64,
    /// Of those, the current frame's header.
    header: u64,
    budget: u64,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Expect {
    StreamType,
    FrameType,
    FrameLength,
    Payload,
    /// Bytes without frames.
    Raw,
}

impl Meter {
    /// For a stream that carries a request.
    pub fn request() -> Self {
        Self::new(Expect::FrameType, REQUEST_BYTES_MAX)
    }

    /// For a stream whose first bytes say what it is.
    pub fn unidirectional() -> Self {
        Self::new(Expect::StreamType, OTHER_BYTES_MAX)
    }

    fn new(expect: Expect, budget: u64) -> Self {
        Self {
            expect,
            integer: 0,
            integer_left: 0,
            frame_type: 0,
            payload_left: 0,
            counted: 0,
            header: 0,
            budget,
        }
    }

    /// Takes the next bytes of the stream.
    pub fn take(&mut self, mut bytes: &[u8]) -> Result<(), Excess> {
        while let Some((&first, rest)) = bytes.split_first() {
            match self.expect {
                Expect::Raw => {
                    self.count(bytes.len() as u64)?;
                    return Ok(());
                }
                Expect::Payload => bytes = self.payload(bytes)?,
                Expect::StreamType | Expect::FrameType | Expect::FrameLength => {
                    self.count(1)?;
                    self.header += 1;
                    bytes = rest;
                    if let Some(value) = self.integer(first) {
                        self.have(value)?;
                    }
                }
            }
        }
        Ok(())
    }

    /// Counts one more byte of an integer; the integer when it is complete.
    fn integer(&mut self, byte: u8) -> Option<u64> {
        if self.integer_left == 0 {
            // The two highest bits give the length: 1, 2, 4 or 8 bytes.
            self.integer_left = 1 << (byte >> 6);
            self.integer = u64::from(byte & 0x3f);
        } else {
            self.integer = (self.integer << 8) | u64::from(byte);
        }
        self.integer_left -= 1;
        (self.integer_left == 0).then_some(self.integer)
    }

    fn have(&mut self, value: u64) -> Result<(), Excess> {
        self.expect = match self.expect {
            Expect::StreamType if value == CONTROL => {
                self.header = 0;
                self.budget = CONTROL_BYTES_MAX;
                Expect::FrameType
            }
            Expect::StreamType => Expect::Raw,
            Expect::FrameType => {
                self.frame_type = value;
                Expect::FrameLength
            }
            Expect::FrameLength => {
                if self.frame_type != DATA && value > FRAME_BYTES_MAX {
                    return Err(Excess { max: FRAME_BYTES_MAX });
                }
                if self.frame_type == DATA && value > 0 {
                    // A body in many small frames is a body; empty frames are a flood.
                    self.counted = self.counted.saturating_sub(self.header);
                }
                self.header = 0;
                self.payload_left = value;
                if value == 0 {
                    Expect::FrameType
                } else {
                    Expect::Payload
                }
            }
            other @ (Expect::Payload | Expect::Raw) => other,
        };
        Ok(())
    }

    /// Takes what belongs to the current frame; the rest.
    fn payload<'a>(&mut self, bytes: &'a [u8]) -> Result<&'a [u8], Excess> {
        let take = usize::try_from(self.payload_left)
            .unwrap_or(usize::MAX)
            .min(bytes.len());
        let (_, rest) = bytes.split_at(take);
        if self.frame_type != DATA {
            self.count(take as u64)?;
        }
        self.payload_left -= take as u64;
        if self.payload_left == 0 {
            self.expect = Expect::FrameType;
        }
        Ok(rest)
    }

    fn count(&mut self, bytes: u64) -> Result<(), Excess> {
        self.counted = self.counted.saturating_add(bytes);
        if self.counted > self.budget {
            return Err(Excess { max: self.budget });
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A frame with a four-byte length.
    fn frame(frame_type: u8, announced: u32, payload: usize) -> Vec<u8> {
        let mut bytes = vec![frame_type];
        bytes.extend((announced | 0x8000_0000).to_be_bytes());
        bytes.extend(vec![7; payload]);
        bytes
    }

    const HEADERS: u8 = 1;
    const UNKNOWN: u8 = 0x21;

    #[test]
    fn a_frame_at_the_bound_passes_and_one_past_is_refused_at_its_header() {
        let max = u32::try_from(FRAME_BYTES_MAX).unwrap();
        assert_eq!(Meter::request().take(&frame(HEADERS, max, max as usize)), Ok(()));
        assert_eq!(
            Meter::request().take(&frame(HEADERS, max + 1, 0)),
            Err(Excess { max: FRAME_BYTES_MAX })
        );
        assert_eq!(
            Meter::request().take(&frame(UNKNOWN, max + 1, 0)),
            Err(Excess { max: FRAME_BYTES_MAX })
        );
    }

    #[test]
    fn bodies_are_not_counted_however_they_are_cut_but_empty_frames_are() {
        let mut meter = Meter::request();
        meter.take(&frame(HEADERS, 10, 10)).unwrap();
        meter.take(&frame(0, 10_000_000, 10_000_000)).unwrap();
        for _ in 0..REQUEST_BYTES_MAX {
            meter.take(&[0, 1, 7]).unwrap();
        }
        assert_eq!(meter.counted, 15);
        let mut flood = Meter::request();
        let empty_frames = vec![0; usize::try_from(REQUEST_BYTES_MAX).unwrap()];
        assert_eq!(flood.take(&empty_frames), Ok(()));
        assert_eq!(
            flood.take(&[0]),
            Err(Excess {
                max: REQUEST_BYTES_MAX
            })
        );
    }

    #[test]
    fn bytes_may_arrive_one_by_one() {
        let bytes = [frame(HEADERS, 3, 3), frame(0, 5, 5), frame(UNKNOWN, 2, 2)].concat();
        let (mut whole, mut pieces) = (Meter::request(), Meter::request());
        whole.take(&bytes).unwrap();
        for byte in &bytes {
            pieces.take(&[*byte]).unwrap();
        }
        assert_eq!(whole.counted, pieces.counted);
        assert_eq!(whole.expect, pieces.expect);
    }

    #[test]
    fn the_control_stream_and_others_have_budgets_for_life() {
        let mut control = Meter::unidirectional();
        control.take(&[0x00]).unwrap();
        let unknown = frame(UNKNOWN, 8_000, 8_000);
        let fits = usize::try_from(CONTROL_BYTES_MAX).unwrap() / unknown.len();
        for _ in 0..fits {
            control.take(&unknown).unwrap();
        }
        assert_eq!(
            control.take(&unknown),
            Err(Excess {
                max: CONTROL_BYTES_MAX
            })
        );
        let mut encoder = Meter::unidirectional();
        let raw = vec![2; usize::try_from(OTHER_BYTES_MAX).unwrap()];
        encoder.take(&raw).unwrap();
        assert_eq!(encoder.take(&[0]), Err(Excess { max: OTHER_BYTES_MAX }));
    }
}
