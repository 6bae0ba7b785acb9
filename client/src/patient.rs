//! Connections on which an early answer is not lost.
//!
//! A server may answer before it has read the whole request (a redirect, 413) and close. The client's next
//! write then fails while the answer lies unread in the socket. Here a write that fails because the peer has
//! gone just waits: the read side of such a socket always ends, by the answer or by an error, and decides.

use std::{
    future::Future,
    io,
    pin::Pin,
    task::{Context, Poll, ready},
};

use http::Uri;
use hyper::rt::{Read, ReadBufCursor, Write};
use hyper_rustls::{HttpsConnector, MaybeHttpsStream};
use hyper_util::{
    client::legacy::connect::{Connected, Connection, HttpConnector},
    rt::TokioIo,
};
use tokio::net::TcpStream;
use tower_service::Service;

use crate::body::BoxError;

type Socket = MaybeHttpsStream<TokioIo<TcpStream>>;

/// Opens [`Patient`] connections.
#[derive(Clone)]
pub(crate) struct PatientConnector(pub(crate) HttpsConnector<HttpConnector>);

impl Service<Uri> for PatientConnector {
    type Response = Patient<Socket>;
    type Error = BoxError;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, BoxError>> + Send>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.0.poll_ready(cx)
    }

    fn call(&mut self, uri: Uri) -> Self::Future {
        let connecting = self.0.call(uri);
        Box::pin(async move { Ok(Patient { io: connecting.await?, gone: false }) })
    }
}

/// A connection whose failed writes wait for the read side.
pub(crate) struct Patient<T> {
    io: T,
    /// The peer takes nothing more.
    gone: bool,
}

impl<T: Write + Unpin> Patient<T> {
    fn write_with<R>(
        &mut self,
        write: impl FnOnce(Pin<&mut T>) -> Poll<io::Result<R>>,
    ) -> Poll<io::Result<R>> {
        use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset};
        if self.gone {
            return Poll::Pending;
        }
        match ready!(write(Pin::new(&mut self.io))) {
            Err(error) if matches!(error.kind(), BrokenPipe | ConnectionReset | ConnectionAborted) => {
                self.gone = true;
                Poll::Pending
            }
            done => Poll::Ready(done),
        }
    }
}

impl<T: Read + Unpin> Read for Patient<T> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: ReadBufCursor<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_read(cx, buf)
    }
}

impl<T: Write + Unpin> Write for Patient<T> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        self.write_with(|io| io.poll_write(cx, buf))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.write_with(|io| io.poll_flush(cx))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if self.gone { Poll::Ready(Ok(())) } else { Pin::new(&mut self.io).poll_shutdown(cx) }
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        self.write_with(|io| io.poll_write_vectored(cx, bufs))
    }
}

impl Connection for Patient<Socket> {
    fn connected(&self) -> Connected {
        self.io.connected()
    }
}
