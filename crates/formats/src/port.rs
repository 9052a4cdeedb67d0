//! The port through which this crate asks for bytes.

use std::io;

/// Random access to the bytes of one file. Implementations may be called from several threads at once.
pub trait ReadAt: Sync {
    /// Bytes in the file.
    fn len(&self) -> u64;

    /// Whether the file has no bytes.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Fills `buf` from byte `offset` on, or fails.
    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()>;
}

impl ReadAt for [u8] {
    fn len(&self) -> u64 {
        <[u8]>::len(self) as u64
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= ReadAt::len(self));
        let (Ok(start), Some(Ok(end))) = (usize::try_from(offset), end.map(usize::try_from)) else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        buf.copy_from_slice(&self[start..end]);
        Ok(())
    }
}

impl ReadAt for Vec<u8> {
    fn len(&self) -> u64 {
        ReadAt::len(self.as_slice())
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        self.as_slice().read_exact_at(offset, buf)
    }
}

impl<T: ReadAt + ?Sized> ReadAt for &T {
    fn len(&self) -> u64 {
        (**self).len()
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        (**self).read_exact_at(offset, buf)
    }
}

#[cfg(test)]
mod tests {
    use super::ReadAt;

    #[test]
    fn reads_past_the_end_fail() {
        let bytes = [1u8, 2, 3];
        let mut buf = [0u8; 2];
        assert!(bytes[..].read_exact_at(1, &mut buf).is_ok());
        assert_eq!(buf, [2, 3]);
        assert!(bytes[..].read_exact_at(2, &mut buf).is_err());
        assert!(bytes[..].read_exact_at(u64::MAX, &mut buf).is_err());
    }
}
