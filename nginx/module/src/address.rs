//! Addresses as nginx keeps them: the system's bytes, and a text beside them.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use nginx_sys::{ngx_sock_ntop, ngx_str_t, sockaddr, socklen_t};

const INET: u16 = 2;
const INET6: u16 = 10;
const INET_BYTES: usize = 16;
const INET6_BYTES: usize = 28;
/// `[`, 39 letters, `]:` and 5 digits would do.
const NAME_BYTES: usize = 64;

/// An address, and its name as nginx writes it.
pub(crate) struct Named {
    pub(crate) name: String,
    bytes: [u8; INET6_BYTES],
    used: usize,
}

impl Named {
    pub(crate) fn of(address: SocketAddr) -> Self {
        let mut bytes = [0; INET6_BYTES];
        bytes[2..4].copy_from_slice(&address.port().to_be_bytes());
        let (family, used) = match address.ip() {
            IpAddr::V4(ip) => {
                bytes[4..8].copy_from_slice(&ip.octets());
                (INET, INET_BYTES)
            }
            IpAddr::V6(ip) => {
                bytes[8..24].copy_from_slice(&ip.octets());
                (INET6, INET6_BYTES)
            }
        };
        bytes[..2].copy_from_slice(&family.to_ne_bytes());
        let mut name = [0_u8; NAME_BYTES];
        // SAFETY: nginx reads an address of that family from `bytes`, and writes no further than it is told.
        let written = unsafe {
            ngx_sock_ntop(bytes.as_mut_ptr().cast(), used as socklen_t, name.as_mut_ptr(), NAME_BYTES, 1)
        };
        let name = String::from_utf8_lossy(&name[..written.min(NAME_BYTES)]).into_owned();
        Self { name, bytes, used }
    }

    /// Writes address and name to where nginx has both.
    ///
    /// # Safety
    /// There is room for any address of the internet's, and for its name; nobody reads meanwhile.
    pub(crate) unsafe fn write(&self, to: *mut sockaddr, length: &mut socklen_t, name: &mut ngx_str_t) {
        // SAFETY: the caller's promise.
        unsafe {
            to.cast::<u8>().copy_from(self.bytes.as_ptr(), INET6_BYTES);
            name.data.copy_from(self.name.as_ptr(), self.name.len());
        }
        *length = self.used as socklen_t;
        name.len = self.name.len();
    }
}

/// The address of the internet's that nginx has there; `None` if it is of another kind.
///
/// # Safety
/// `length` bytes are there, and nobody writes meanwhile.
pub(crate) unsafe fn read(from: *const sockaddr, length: socklen_t) -> Option<SocketAddr> {
    if from.is_null() || (length as usize) < INET_BYTES {
        return None;
    }
    // SAFETY: the caller's promise.
    let bytes = unsafe { std::slice::from_raw_parts(from.cast::<u8>(), length as usize) };
    let ip: IpAddr = match u16::from_ne_bytes([bytes[0], bytes[1]]) {
        INET => Ipv4Addr::from(<[u8; 4]>::try_from(&bytes[4..8]).ok()?).into(),
        INET6 => Ipv6Addr::from(<[u8; 16]>::try_from(bytes.get(8..24)?).ok()?).into(),
        _ => return None,
    };
    Some(SocketAddr::new(ip, u16::from_be_bytes([bytes[2], bytes[3]])))
}
