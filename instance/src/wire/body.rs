//! Where a request's body ends, and which of its bytes are data (RFC 9112 §6, §7.1). Pure: bytes in, verdict out.

use std::ops::Range;

use crate::refusal::Refusal;

/// Bytes of chunk extensions and trailers that one body may bring.
pub(crate) const CHUNK_EXTRA_MAX: usize = 4096;
/// Hexadecimal digits of a chunk's size: 2^60 bytes are enough for one.
const CHUNK_DIGITS_MAX: u32 = 15;

/// What is still to come of a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Body {
    /// So many bytes.
    Exact { left: u64 },
    /// Chunks, and an end that says so.
    Chunked(Chunked),
    /// Nothing after chunks.
    Ended,
}

/// Where in a chunked body the bytes stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Chunked {
    part: ChunkPart,
    extra: u16,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum ChunkPart {
    Size { value: u64, digits: u32 },
    Extension { size: u64 },
    SizeEnd { size: u64 },
    Data { left: u64 },
    DataEnd,
    DataEndLf,
    TrailerStart,
    TrailerLine,
    TrailerLineEnd,
    TrailerEnd,
}

/// What was found at the beginning of some bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Piece {
    /// How many of the bytes belong to the body, data or not.
    pub(crate) used: usize,
    /// Where among them the data is, if there is any.
    pub(crate) data: Range<usize>,
}

impl Body {
    pub(crate) const EMPTY: Self = Self::Exact { left: 0 };
    pub(crate) const CHUNKED: Self = Self::Chunked(Chunked { part: SIZE, extra: 0 });

    /// A body of so many bytes.
    pub(crate) fn exact(left: u64) -> Self {
        Self::Exact { left }
    }

    /// Whether all of it has come.
    pub(crate) fn is_over(&self) -> bool {
        matches!(self, Self::Exact { left: 0 } | Self::Ended)
    }

    /// Bytes that are still to come, if that is known.
    pub(crate) fn left(&self) -> Option<u64> {
        match self {
            Self::Exact { left } => Some(*left),
            Self::Chunked(_) => None,
            Self::Ended => Some(0),
        }
    }

    /// Takes bytes up to the end of the first data in them, or all of them, or the end of the body.
    ///
    /// # Errors
    /// 400 for what is no chunk. Nothing may be taken after that.
    pub(crate) fn take(&mut self, bytes: &[u8]) -> Result<Piece, Refusal> {
        match self {
            Self::Ended => Ok(Piece { used: 0, data: 0..0 }),
            Self::Exact { left } => {
                let used = (*left).min(bytes.len() as u64);
                *left -= used;
                Ok(Piece { used: used as usize, data: 0..used as usize })
            }
            Self::Chunked(chunked) => {
                let (piece, ended) = chunked.take(bytes)?;
                if ended {
                    *self = Self::Ended;
                }
                Ok(piece)
            }
        }
    }
}

const SIZE: ChunkPart = ChunkPart::Size { value: 0, digits: 0 };

impl Chunked {
    /// As [`Body::take`], and whether the body ended with it.
    fn take(&mut self, bytes: &[u8]) -> Result<(Piece, bool), Refusal> {
        let mut used = 0;
        while used < bytes.len() {
            if let ChunkPart::Data { left } = &mut self.part {
                let data = (*left).min((bytes.len() - used) as u64);
                *left -= data;
                if *left == 0 {
                    self.part = ChunkPart::DataEnd;
                }
                let end = used + data as usize;
                return Ok((Piece { used: end, data: used..end }, false));
            }
            let ended = self.step(bytes[used])?;
            used += 1;
            if ended {
                return Ok((Piece { used, data: 0..0 }, true));
            }
        }
        Ok((Piece { used, data: 0..0 }, false))
    }

    /// Takes one byte that is not data; gives whether it ended the body.
    fn step(&mut self, byte: u8) -> Result<bool, Refusal> {
        use ChunkPart::*;
        let bad = || Refusal::bad("malformed chunk").closing();
        self.part = match (self.part, byte) {
            (Size { value, digits }, _) if byte.is_ascii_hexdigit() && digits < CHUNK_DIGITS_MAX => {
                let digit = char::from(byte).to_digit(16).map_or(0, u64::from);
                Size { value: value << 4 | digit, digits: digits + 1 }
            }
            (Size { value: size, digits: 1.. }, b'\r') => SizeEnd { size },
            (Size { value: size, digits: 1.. }, b';' | b' ' | b'\t') => Extension { size },
            (Extension { size }, b'\r') => SizeEnd { size },
            (Extension { .. } | TrailerLine, b'\n') => return Err(bad()),
            (Extension { .. }, _) => self.extra(self.part)?,
            (SizeEnd { size: 0 }, b'\n') => TrailerStart,
            (SizeEnd { size }, b'\n') => Data { left: size },
            (DataEnd, b'\r') => DataEndLf,
            (DataEndLf, b'\n') => SIZE,
            (TrailerStart, b'\r') => TrailerEnd,
            (TrailerStart, b'\n') => return Err(bad()),
            (TrailerLine, b'\r') => TrailerLineEnd,
            (TrailerLineEnd, b'\n') => TrailerStart,
            (TrailerStart | TrailerLine, _) => self.extra(TrailerLine)?,
            (TrailerEnd, b'\n') => return Ok(true),
            _ => return Err(bad()),
        };
        Ok(false)
    }

    fn extra(&mut self, part: ChunkPart) -> Result<ChunkPart, Refusal> {
        self.extra += 1;
        if usize::from(self.extra) > CHUNK_EXTRA_MAX {
            return Err(Refusal::bad("chunk extensions or trailers too long").closing());
        }
        Ok(part)
    }
}
