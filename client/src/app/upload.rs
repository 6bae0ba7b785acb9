//! A request's body that can be sent again, because the first instance asked may not be the right one.

use std::{
    io,
    path::PathBuf,
    pin::Pin,
    sync::{Arc, Mutex, PoisonError},
    task::{Context, Poll, ready},
};

use bytes::{Bytes, BytesMut};
use http_body::{Body as HttpBody, Frame, SizeHint};
use http_body_util::{BodyExt, Full};
use tokio::io::{AsyncRead, ReadBuf};

use crate::body::{Body, BoxError};

/// Bytes read at a time.
const PIECE: usize = 64 * 1024;
/// Most bytes kept of a stream that cannot be read twice.
const KEPT_MAX: usize = 1024 * 1024;

/// The body of a request.
pub struct Upload(Source);

enum Source {
    Memory(Bytes),
    File(PathBuf),
    Stream(Arc<Mutex<Kept>>),
}

/// Why there is no body to send.
#[derive(Debug, thiserror::Error)]
pub enum UploadError {
    /// The file cannot be read.
    #[error("{}: cannot be read ({error})", .path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: io::Error,
    },
    /// A stream was read too far to begin again.
    #[error(
        "the agent moved when more than {KEPT_MAX} bytes of the input had been read, which cannot be read again; \
         try again, or give the input as a file"
    )]
    ReadTooFar,
}

impl Upload {
    /// A body in memory.
    pub fn bytes(bytes: impl Into<Bytes>) -> Self {
        Self(Source::Memory(bytes.into()))
    }

    /// A file, opened anew for each attempt. Its length is sent with it.
    pub fn file(path: impl Into<PathBuf>) -> Self {
        Self(Source::File(path.into()))
    }

    /// A stream that cannot be read twice, such as standard input. Up to 1 MiB of it is kept for another
    /// attempt.
    pub fn stream(input: impl AsyncRead + Send + Unpin + 'static) -> Self {
        let input = Box::new(input);
        Self(Source::Stream(Arc::new(Mutex::new(Kept { input, read: Vec::new(), overflown: false }))))
    }

    /// The body from its start. At most one of these is read at a time.
    pub(crate) async fn open(&mut self) -> Result<Body, UploadError> {
        match &self.0 {
            Source::Memory(bytes) => {
                Ok(Full::new(bytes.clone()).map_err(|never| match never {}).boxed_unsync())
            }
            Source::File(path) => {
                let failed = |error| UploadError::File { path: path.clone(), error };
                let file = tokio::fs::File::open(path).await.map_err(failed)?;
                let metadata = file.metadata().await.map_err(failed)?;
                let left = metadata.is_file().then_some(metadata.len());
                Ok(FileBody { file, left }.boxed_unsync())
            }
            Source::Stream(kept) => {
                if kept.lock().unwrap_or_else(PoisonError::into_inner).overflown {
                    return Err(UploadError::ReadTooFar);
                }
                Ok(StreamBody { kept: kept.clone(), sent: 0 }.boxed_unsync())
            }
        }
    }
}

/// Reads the next piece, of at most `most` bytes; empty at the end.
fn poll_piece<R: AsyncRead + Unpin>(
    input: &mut R,
    most: usize,
    cx: &mut Context<'_>,
) -> Poll<io::Result<Bytes>> {
    let mut piece = BytesMut::zeroed(most);
    let mut buffer = ReadBuf::new(&mut piece);
    ready!(Pin::new(input).poll_read(cx, &mut buffer))?;
    let filled = buffer.filled().len();
    Poll::Ready(Ok(piece.split_to(filled).freeze()))
}

/// A file, as long as it was when it was opened.
struct FileBody {
    file: tokio::fs::File,
    /// Bytes to come; unknown for what is no regular file.
    left: Option<u64>,
}

impl HttpBody for FileBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let most = self.left.map_or(PIECE, |left| usize::try_from(left).unwrap_or(PIECE).min(PIECE));
        if most == 0 {
            return Poll::Ready(None);
        }
        let piece = ready!(poll_piece(&mut self.file, most, cx))?;
        match (&mut self.left, piece.is_empty()) {
            (Some(_), true) => {
                return Poll::Ready(Some(Err("the file became shorter while it was sent".into())));
            }
            (None, true) => return Poll::Ready(None),
            (Some(left), false) => *left = left.saturating_sub(piece.len() as u64),
            (None, false) => {}
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.left == Some(0)
    }

    fn size_hint(&self) -> SizeHint {
        self.left.map(SizeHint::with_exact).unwrap_or_default()
    }
}

/// A stream and what was read of it.
struct Kept {
    input: Box<dyn AsyncRead + Send + Unpin>,
    read: Vec<u8>,
    /// More was read than is kept.
    overflown: bool,
}

/// One reading of a stream: first what is kept, then what comes.
struct StreamBody {
    kept: Arc<Mutex<Kept>>,
    /// How much of what is kept this reading has had.
    sent: usize,
}

impl HttpBody for StreamBody {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        let shared = self.kept.clone();
        let mut kept = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(again) = kept.read.get(self.sent..).filter(|rest| !rest.is_empty()) {
            let piece = Bytes::copy_from_slice(&again[..again.len().min(PIECE)]);
            self.sent += piece.len();
            return Poll::Ready(Some(Ok(Frame::data(piece))));
        }
        let piece = ready!(poll_piece(&mut kept.input, PIECE, cx))?;
        if piece.is_empty() {
            return Poll::Ready(None);
        }
        if kept.overflown || kept.read.len() + piece.len() > KEPT_MAX {
            (kept.overflown, kept.read) = (true, Vec::new());
        } else {
            kept.read.extend_from_slice(&piece);
            self.sent += piece.len();
        }
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn read(body: &mut Body, pieces: usize) -> Vec<u8> {
        let mut all = Vec::new();
        for _ in 0..pieces {
            let Some(frame) = body.frame().await else { break };
            all.extend(frame.unwrap().into_data().unwrap());
        }
        all
    }

    #[tokio::test]
    async fn a_stream_begins_again_while_it_is_kept() {
        let input: Vec<u8> = (0..KEPT_MAX + 1).map(|i| (i % 251) as u8).collect();
        let mut upload = Upload::stream(io::Cursor::new(input.clone()));
        for pieces in [0, 3, 1, 7] {
            let mut body = upload.open().await.unwrap();
            let got = read(&mut body, pieces).await;
            assert_eq!(got, input[..pieces * PIECE]);
        }
        let mut body = upload.open().await.unwrap();
        assert_eq!(read(&mut body, usize::MAX).await, input);
        assert!(matches!(upload.open().await, Err(UploadError::ReadTooFar)));
    }

    #[tokio::test]
    async fn a_file_is_sent_whole_each_time_with_its_length() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("data");
        std::fs::write(&path, vec![7; PIECE * 2 + 1]).unwrap();
        let mut upload = Upload::file(&path);
        for _ in 0..2 {
            let mut body = upload.open().await.unwrap();
            assert_eq!(body.size_hint().exact(), Some(PIECE as u64 * 2 + 1));
            assert_eq!(read(&mut body, usize::MAX).await.len(), PIECE * 2 + 1);
        }
        let mut body = upload.open().await.unwrap();
        std::fs::write(&path, "short").unwrap();
        assert_eq!(body.frame().await.unwrap().unwrap().into_data().unwrap().len(), 5);
        assert!(body.frame().await.unwrap().is_err(), "a short body is never passed off as whole");
        std::fs::remove_file(&path).unwrap();
        assert!(matches!(upload.open().await, Err(UploadError::File { .. })));
    }
}
