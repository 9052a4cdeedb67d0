//! Who is the same voter, and did this page send this form? Keyed hashes; no address is ever looked at.

use crate::error::WebError;
use crate::random::{bytes, hex, unhex};
use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fs::{File, OpenOptions};
use std::io::{ErrorKind, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use stemmata_audit::printable;

/// The server's key. Never shown, never in the database.
pub(crate) struct Keys {
    key: [u8; 32],
}

/// Somebody with a cookie of ours.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Voter {
    /// The value of the cookie: a random name and the hash that only this server can make for it.
    pub(crate) cookie: String,
    /// Under which the voter stands in the database and in exports; cannot be turned back into the cookie.
    pub(crate) hash: String,
}

impl Keys {
    pub(crate) fn new(key: [u8; 32]) -> Keys {
        Keys { key }
    }

    /// The key in the file; a new one where there is no file. Only its owner can read it.
    pub(crate) fn open(path: &Path) -> Result<Keys, WebError> {
        let failed = |what: String| WebError::Key { path: printable(&path.display().to_string()), what };
        let made = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path);
        match made {
            Ok(mut file) => {
                let key: [u8; 32] = bytes()?;
                let written = file.write_all(hex(&key).as_bytes()).and_then(|()| file.sync_all());
                written.map_err(|error| {
                    // Half a key would be refused from now on.
                    let _ = std::fs::remove_file(path);
                    failed(error.to_string())
                })?;
                Ok(Keys::new(key))
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists => {
                let mut text = String::new();
                let file = File::open(path).map_err(|error| failed(error.to_string()))?;
                file.take(100).read_to_string(&mut text).map_err(|error| failed(error.to_string()))?;
                unhex(text.trim()).map(Keys::new).ok_or_else(|| failed("this is no key".to_owned()))
            }
            Err(error) => Err(failed(error.to_string())),
        }
    }

    /// Somebody new.
    pub(crate) fn voter(&self) -> Result<Voter, WebError> {
        let name = hex(&bytes::<16>()?);
        let cookie = format!("{name}.{}", hex(&self.tag("cookie", &[&name])[..16]));
        Ok(Voter { hash: self.hash(&name), cookie })
    }

    /// Who sent this cookie; nobody where this server did not make it.
    pub(crate) fn recognise(&self, cookie: &str) -> Option<Voter> {
        let (name, tag) = cookie.split_once('.')?;
        unhex::<16>(name)?;
        let wanted = self.tag("cookie", &[name]);
        same(&unhex::<16>(tag)?, &wanted[..16])
            .then(|| Voter { cookie: cookie.to_owned(), hash: self.hash(name) })
    }

    /// The token of a form: only this server can make it, and only for this voter and purpose.
    pub(crate) fn token(&self, purpose: &str, about: &str, voter: &Voter) -> String {
        hex(&self.tag(purpose, &[about, &voter.hash])[..16])
    }

    pub(crate) fn is_token(&self, token: &str, purpose: &str, about: &str, voter: &Voter) -> bool {
        let wanted = self.tag(purpose, &[about, &voter.hash]);
        unhex::<16>(token).is_some_and(|token| same(&token, &wanted[..16]))
    }

    fn hash(&self, name: &str) -> String {
        hex(&self.tag("voter", &[name])[..16])
    }

    /// HMAC-SHA-256 of the purpose and the parts, each with its length before it.
    fn tag(&self, purpose: &str, parts: &[&str]) -> [u8; 32] {
        // A key shorter than the block of the hash is filled up with zeros (RFC 2104).
        let mut block = [0; 64];
        block[..32].copy_from_slice(&self.key);
        let mut mac = Hmac::<Sha256>::new(&block.into());
        for part in std::iter::once(&purpose).chain(parts) {
            mac.update(&(part.len() as u64).to_le_bytes());
            mac.update(part.as_bytes());
        }
        mac.finalize().into_bytes().into()
    }
}

/// Whether both are the same, in a time that does not depend on where they differ.
fn same(left: &[u8], right: &[u8]) -> bool {
    left.len() == right.len() && left.iter().zip(right).fold(0, |or, (a, b)| or | (a ^ b)) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_and_tokens_of_others_are_refused() {
        let (ours, theirs) = (Keys::new([1; 32]), Keys::new([2; 32]));
        let voter = ours.voter().unwrap();
        assert_eq!(ours.recognise(&voter.cookie), Some(voter.clone()));
        assert_eq!(theirs.recognise(&voter.cookie), None);
        assert!(!voter.cookie.contains(&voter.hash));
        let forged = format!("{}.{}", "0".repeat(32), "0".repeat(32));
        for cookie in ["", ".", "a.b", &forged, &voter.cookie.to_uppercase().replace('.', "")] {
            assert_eq!(ours.recognise(cookie), None, "{cookie}");
        }
        let token = ours.token("vote", "battle", &voter);
        assert!(ours.is_token(&token, "vote", "battle", &voter));
        let other = ours.voter().unwrap();
        assert!(!ours.is_token(&token, "vote", "battle", &other));
        assert!(!ours.is_token(&token, "vote", "battles", &voter));
        assert!(!ours.is_token(&token, "ask", "battle", &voter));
        assert!(!theirs.is_token(&token, "vote", "battle", &voter));
        assert!(!ours.is_token("", "vote", "battle", &voter));
    }

    #[test]
    fn the_key_is_kept_for_its_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let voter = Keys::open(&path).unwrap().voter().unwrap();
        assert!(Keys::open(&path).unwrap().recognise(&voter.cookie).is_some());
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        std::fs::write(&path, "no key").unwrap();
        assert!(matches!(Keys::open(&path), Err(WebError::Key { .. })));
    }
}
