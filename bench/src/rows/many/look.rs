//! What instances, and the kernel for them, use at one moment.

use std::time::Duration;

use crate::{kernel, serve::Instance};

/// All instances together; the kernel's for the whole machine.
#[derive(Debug, Clone, Copy)]
pub(super) struct Look {
    /// CPU time.
    pub(super) cpu: Duration,
    /// Resident memory in bytes.
    pub(super) resident: u64,
    /// Bytes in the kernel's objects.
    pub(super) slab: u64,
    /// Bytes in the buffers of TCP sockets.
    pub(super) in_sockets: u64,
}

impl Look {
    /// Now.
    pub(super) fn at(instances: &[Instance]) -> anyhow::Result<Self> {
        let (slab, in_sockets) = (kernel::slab_bytes()?, kernel::tcp_bytes()?);
        let mut look = Self { cpu: Duration::ZERO, resident: 0, slab, in_sockets };
        for instance in instances {
            look.cpu += instance.cpu()?;
            look.resident += instance.resident_bytes()?;
        }
        Ok(look)
    }
}
