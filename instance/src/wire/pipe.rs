//! Bytes that go from one socket to another within the kernel (`splice(2)`): a pipe holds them on the way.

use std::{
    cell::RefCell,
    io,
    os::fd::{AsFd, OwnedFd},
};

use nix::{
    fcntl::{FcntlArg, OFlag, SpliceFFlags, fcntl, splice},
    unistd::{pipe2, read},
};

/// Bytes that a pipe holds.
pub(super) const PIPE_BYTES: usize = 256 << 10;
/// Pipes of an instance, two files and at most 256 KiB of the kernel's memory each. Bodies beyond that go through the
/// program's memory, as short ones do.
const PIPES_MAX: usize = 64;

/// A pipe.
#[derive(Debug)]
pub(crate) struct Pipe {
    out: OwnedFd,
    into: OwnedFd,
    held: usize,
}

/// All pipes of an instance.
#[derive(Debug, Default)]
pub(crate) struct Pipes(RefCell<State>);

#[derive(Debug, Default)]
struct State {
    spare: Vec<Pipe>,
    made: usize,
}

impl Pipes {
    /// An empty one, if there are not too many and the system gives one.
    pub(crate) fn take(&self) -> Option<Pipe> {
        let mut state = self.0.borrow_mut();
        if let Some(pipe) = state.spare.pop() {
            return Some(pipe);
        }
        if state.made >= PIPES_MAX {
            return None;
        }
        let pipe = Pipe::new().ok()?;
        state.made += 1;
        Some(pipe)
    }

    /// Takes one back. What is still in it is lost.
    pub(crate) fn put(&self, pipe: Pipe) {
        let mut state = self.0.borrow_mut();
        if pipe.is_empty() {
            state.spare.push(pipe);
        } else {
            state.made -= 1;
        }
    }
}

impl Pipe {
    fn new() -> nix::Result<Self> {
        let (out, into) = pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        // A smaller one works as well, with more calls.
        let _ = fcntl(&into, FcntlArg::F_SETPIPE_SZ(PIPE_BYTES as i32));
        Ok(Self { out, into, held: 0 })
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.held == 0
    }

    /// Moves at most `most` bytes from a socket into it, which must be empty: full and "nothing there" look the same.
    pub(crate) fn fill(&mut self, socket: impl AsFd, most: u64) -> io::Result<usize> {
        let most = most.min(PIPE_BYTES as u64) as usize;
        let moved = splice(socket, None, &self.into, None, most, FLAGS)?;
        self.held += moved;
        Ok(moved)
    }

    /// Moves bytes from it into a socket.
    pub(crate) fn empty(&mut self, socket: impl AsFd) -> io::Result<usize> {
        let moved = splice(&self.out, None, socket, None, self.held, FLAGS)?;
        self.held -= moved;
        Ok(moved)
    }

    /// Takes out what is still in it.
    pub(crate) fn take_rest(&mut self) -> io::Result<Vec<u8>> {
        let mut rest = vec![0; self.held];
        let mut taken = 0;
        while self.held > 0 {
            let bytes = read(&self.out, &mut rest[taken..])?;
            taken += bytes;
            self.held -= bytes;
        }
        Ok(rest)
    }
}

const FLAGS: SpliceFFlags = SpliceFFlags::SPLICE_F_MOVE.union(SpliceFFlags::SPLICE_F_NONBLOCK);

#[cfg(test)]
mod tests {
    use std::{
        io::{Read, Write},
        os::unix::net::UnixStream,
    };

    use super::*;

    #[test]
    fn what_goes_in_comes_out_or_is_taken() {
        let pipes = Pipes::default();
        let mut pipe = pipes.take().unwrap();
        let ((mut sender, source), (reader, mut end)) =
            (UnixStream::pair().unwrap(), UnixStream::pair().unwrap());
        sender.write_all(b"hello").unwrap();
        assert_eq!((pipe.fill(&source, 3).unwrap(), pipe.empty(&reader).unwrap()), (3, 3));
        let mut got = [0; 3];
        end.read_exact(&mut got).unwrap();
        assert_eq!(&got, b"hel");
        pipe.fill(&source, 100).unwrap();
        assert_eq!((pipe.take_rest().unwrap().as_slice(), pipe.is_empty()), (&b"lo"[..], true));
        pipes.put(pipe);
        assert_eq!(pipes.0.borrow().spare.len(), 1);
    }

    #[test]
    fn there_are_not_too_many_and_one_that_is_not_empty_is_not_used_again() {
        let pipes = Pipes::default();
        let mut all: Vec<_> = (0..PIPES_MAX).map(|_| pipes.take().unwrap()).collect();
        assert!(pipes.take().is_none());
        let (mut sender, source) = UnixStream::pair().unwrap();
        sender.write_all(b"x").unwrap();
        all[0].fill(&source, 1).unwrap();
        all.into_iter().for_each(|pipe| pipes.put(pipe));
        let state = pipes.0.borrow();
        assert_eq!((state.spare.len(), state.made), (PIPES_MAX - 1, PIPES_MAX - 1));
    }
}
