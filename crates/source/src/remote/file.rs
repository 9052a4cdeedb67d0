//! One file that is read by ranges. Every answer is checked to be the bytes that were asked for, of the file that was opened.

use super::FetchError;
use super::address::Address;
use super::cache::RangeCache;
use super::client::{Answer, Client, Trouble, refusal, text};
use crate::access::Credential;
use std::collections::{BTreeMap, VecDeque};
use std::io::{self, Read};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use stemmata_formats::ReadAt;

/// Bytes fetched when the front of a file is first asked for: most headers are shorter (95 % of those on the hub).
const FRONT: u64 = 128 << 10;
/// Bytes fetched ahead of a reader that goes through a file, at most.
const AHEAD: u64 = 2 << 20;
/// Bytes kept of what was fetched without having been announced.
const RECENT: usize = 8 << 20;
/// Bytes before the wanted ones that are received and thrown away, at most, where a server ignores ranges.
const SKIPPED: u64 = 8 << 20;
/// Ranges in flight.
const IN_FLIGHT: usize = 16;
/// Ranges with so many bytes between them are fetched as one: a request costs about as much.
const GAP: u64 = 16 << 10;
/// What lies between may be one part in so many of what is wanted.
const GAPS: u64 = 32;
/// Bytes of one request, at most, so that a cut connection costs little.
const LONGEST: u64 = 2 << 20;

/// What is known of a file before it is read.
#[derive(Clone, Debug, Default)]
pub(crate) struct Described {
    /// Where it is asked for.
    pub(crate) address: String,
    /// Bytes, where a listing says so.
    pub(crate) len: Option<u64>,
    /// SHA-256 of the content as the hub lists it, lower-case hexadecimal.
    pub(crate) sha256: Option<String>,
    /// Commit that the address is pinned to.
    pub(crate) commit: Option<String>,
}

/// A file elsewhere.
pub(crate) struct RemoteFile {
    client: Arc<Client>,
    name: String,
    origin: Address,
    credential: Option<Credential>,
    described: Described,
    len: u64,
    /// Where redirects led: signed, and good for a while.
    target: Mutex<Option<Address>>,
    /// Entity tag of each server that answered.
    tags: Mutex<BTreeMap<String, String>>,
    cache: Option<RangeCache>,
    /// What was announced and fetched, by its start; and what was announced before that, for readers that lag behind.
    announced: Mutex<[BTreeMap<u64, Vec<u8>>; 2]>,
    recent: Mutex<Recent>,
}

/// What was fetched last, oldest first, and where readers stopped.
#[derive(Default)]
struct Recent {
    pieces: VecDeque<(u64, Arc<Vec<u8>>)>,
    ends: VecDeque<(u64, u64)>,
}

impl RemoteFile {
    pub(super) fn open(
        client: &Arc<Client>,
        name: &str,
        described: &Described,
        credential: Option<Credential>,
    ) -> Result<RemoteFile, FetchError> {
        let origin = Address::parse(&described.address)
            .ok_or_else(|| FetchError::new(name, "it has no web address"))?;
        let mut file = RemoteFile {
            client: Arc::clone(client),
            name: name.to_owned(),
            origin,
            credential,
            described: described.clone(),
            len: 0,
            target: Mutex::default(),
            tags: Mutex::default(),
            cache: None,
            announced: Mutex::default(),
            recent: Mutex::default(),
        };
        file.len = match described.len {
            Some(len) => len,
            None => file.ask_length()?,
        };
        let content = file.identity();
        let folder = client.access.cache.as_deref();
        file.cache = folder.zip(content).map(|(folder, content)| RangeCache::open(folder, &content));
        Ok(file)
    }

    /// SHA-256 of the content as listed.
    pub(crate) fn sha256(&self) -> Option<&str> {
        self.described.sha256.as_deref()
    }

    /// Whether what was fetched could not be kept.
    pub(crate) fn cache_has_failed(&self) -> bool {
        self.cache.as_ref().is_some_and(RangeCache::has_failed)
    }

    /// What stands for the content: what one server says it is. Another server that lists the same digest may lie, and what it sends must not
    /// be taken for what this one has. Where no digest is listed, address, length and a strong entity tag.
    fn identity(&self) -> Option<String> {
        use sha2::{Digest, Sha256};
        let digest = match &self.described.sha256 {
            Some(listed) => Sha256::digest(format!("{}\n{listed}", self.origin.host)),
            None => {
                let tags = self.tags.lock().unwrap_or_else(|e| e.into_inner());
                let tag = tags.values().next().filter(|tag| !tag.starts_with("W/"))?;
                Sha256::digest(format!("{}\n{}\n{tag}", self.origin.text(), self.len))
            }
        };
        Some(digest.iter().map(|byte| format!("{byte:02x}")).collect())
    }

    fn error(&self, reason: impl Into<String>) -> Trouble {
        Trouble::Final(FetchError::new(&self.name, reason))
    }

    fn changed(&self, what: &str) -> Trouble {
        let error = FetchError::new(&self.name, format!("it changed while it was read: {what}"));
        Trouble::Final(error.with_hint("run it again; name a commit (`@…`) to pin what is read"))
    }

    /// The length, from the answer to a request for the first byte.
    fn ask_length(&self) -> Result<u64, FetchError> {
        self.client.persist(&self.name, &mut || {
            let answer = self.ask(0, 1).map_err(|t| (t, false))?;
            let length = match answer.status() {
                206 => content_range(&answer).map(|(_, _, total)| total),
                _ => answer.header("Content-Length").and_then(|n| n.parse().ok()),
            };
            length.ok_or_else(|| (self.error("the server does not say how long it is"), false))
        })
    }

    /// One answer with status 206 or 200, from where redirects led before or from the start.
    fn ask(&self, start: u64, end: u64) -> Result<Answer, Trouble> {
        let target = self.target.lock().unwrap_or_else(|e| e.into_inner()).clone();
        let (address, credential) = match &target {
            Some(target) => (target, None),
            None => (&self.origin, self.credential.as_ref()),
        };
        let answer = self.client.get(&self.name, address, Some((start, end)), credential)?;
        if let Some(first) = &answer.first {
            self.check_first(first)?;
        }
        match answer.status() {
            200 | 206 => {}
            416 => return Err(self.changed("it is shorter than it was")),
            // A signed address expires; the origin gives a new one.
            400 | 401 | 403 | 404 | 410 if target.is_some() => {
                *self.target.lock().unwrap_or_else(|e| e.into_inner()) = None;
                return Err(Trouble::Again("the signed address has expired".to_owned(), None));
            }
            // So does one that came only now, where clocks disagree.
            400 | 403 | 410 if answer.first.is_some() => {
                return Err(Trouble::Again("the signed address is refused".to_owned(), None));
            }
            _ => return Err(refusal(&self.name, &answer)),
        }
        if let Some(coding) = answer.header("Content-Encoding").filter(|c| *c != "identity") {
            return Err(self.error(format!("the server sends it as `{coding}`, which was not asked for")));
        }
        self.check_tag(&answer)?;
        if answer.from != self.origin {
            *self.target.lock().unwrap_or_else(|e| e.into_inner()) = Some(answer.from.clone());
        }
        Ok(answer)
    }

    /// What the hub says of the file beside a redirect.
    fn check_first(&self, first: &ureq::http::HeaderMap) -> Result<(), Trouble> {
        let linked = text(first, "X-Linked-ETag").map(|tag| tag.trim_matches('"').to_ascii_lowercase());
        if let (Some(linked), Some(listed)) = (linked, &self.described.sha256)
            && linked.len() == 64
            && linked != *listed
        {
            return Err(self.changed("the hub names another content"));
        }
        if let (Some(commit), Some(pinned)) = (text(first, "X-Repo-Commit"), &self.described.commit)
            && commit != pinned
        {
            return Err(self.changed("the hub names another commit"));
        }
        Ok(())
    }

    fn check_tag(&self, answer: &Answer) -> Result<(), Trouble> {
        let Some(tag) = answer.header("ETag") else { return Ok(()) };
        let mut tags = self.tags.lock().unwrap_or_else(|e| e.into_inner());
        let known = tags.entry(answer.from.host.clone()).or_insert_with(|| tag.to_owned());
        if known == tag { Ok(()) } else { Err(self.changed("its entity tag is another one")) }
    }

    /// Receives bytes `start..end`, as often asking for the rest as connections are cut.
    fn fetch(&self, start: u64, end: u64) -> Result<Vec<u8>, FetchError> {
        let mut got = Vec::with_capacity((end - start) as usize);
        self.client.persist(&self.name, &mut || {
            let before = got.len();
            let outcome = self.receive(start, end, &mut got);
            outcome.map_err(|trouble| (trouble, got.len() > before))
        })?;
        Ok(got)
    }

    fn receive(&self, start: u64, end: u64, got: &mut Vec<u8>) -> Result<(), Trouble> {
        let at = start + got.len() as u64;
        let answer = self.ask(at, end)?;
        let cut = |error: io::Error| Trouble::Again(error.to_string(), None);
        let skip = if answer.status() == 206 {
            match content_range(&answer) {
                Some((first, last, total)) if first == at && last < end => {
                    if total != self.len {
                        return Err(self.changed("its length is another one"));
                    }
                    0
                }
                _ => {
                    return Err(Trouble::Again(
                        "the server sent other bytes than were asked for".to_owned(),
                        None,
                    ));
                }
            }
        } else {
            // The whole file comes. What stands before is received for nothing, within reason.
            if let Some(len) = answer.header("Content-Length").and_then(|n| n.parse::<u64>().ok())
                && len != self.len
            {
                return Err(self.changed("its length is another one"));
            }
            if at > SKIPPED {
                let reason = format!("the server ignores ranges, and byte {at} lies far behind the start");
                let error = FetchError::new(&self.name, reason);
                return Err(Trouble::Final(
                    error.with_hint("download it with another tool and give the local file"),
                ));
            }
            at
        };
        let mut body = answer.response.into_body().into_reader();
        if skip > 0 {
            let skipped = io::copy(&mut (&mut body).take(skip), &mut io::sink()).map_err(cut)?;
            if skipped < skip {
                return Err(Trouble::Again("the connection was cut".to_owned(), None));
            }
        }
        // What arrived before an error counts.
        body.take(end - at).read_to_end(got).map_err(cut)?;
        if (got.len() as u64) < end - start {
            return Err(Trouble::Again("the connection was cut".to_owned(), None));
        }
        Ok(())
    }

    /// Bytes `start..end` from the disk or from the network, and then on the disk.
    fn obtain(&self, start: u64, end: u64) -> Result<Vec<u8>, FetchError> {
        if let Some(cache) = self.cache.as_ref().filter(|cache| cache.holds(start, end)) {
            let mut kept = vec![0; (end - start) as usize];
            if cache.get(start, &mut kept) {
                return Ok(kept);
            }
        }
        let bytes = self.fetch(start, end)?;
        self.cache.iter().for_each(|cache| cache.put(start, &bytes));
        Ok(bytes)
    }

    /// Fetches byte ranges that will be read, many at a time, in place of those announced before the last time.
    pub(crate) fn announce(&self, ranges: &[(u64, u64)]) -> Result<(), FetchError> {
        {
            let mut kept = self.announced.lock().unwrap_or_else(|e| e.into_inner());
            kept.swap(0, 1);
            kept[0].clear();
        }
        let wanted = coalesce(ranges, self.len);
        let next = AtomicUsize::new(0);
        let failed = Mutex::new(None);
        let work = || {
            while failed.lock().unwrap_or_else(|e| e.into_inner()).is_none() {
                let Some((start, end)) = wanted.get(next.fetch_add(1, Ordering::Relaxed)) else { break };
                match self.obtain(*start, *end) {
                    Ok(bytes) => {
                        let mut kept = self.announced.lock().unwrap_or_else(|e| e.into_inner());
                        kept[0].insert(*start, bytes);
                    }
                    Err(error) => *failed.lock().unwrap_or_else(|e| e.into_inner()) = Some(error),
                }
            }
        };
        std::thread::scope(|scope| {
            for _ in 1..wanted.len().min(IN_FLIGHT) {
                // With fewer threads it takes longer, that is all.
                if std::thread::Builder::new().spawn_scoped(scope, work).is_err() {
                    break;
                }
            }
            work();
        });
        failed.into_inner().unwrap_or_else(|e| e.into_inner()).map_or(Ok(()), Err)
    }

    /// Fills `out` from what is at hand.
    fn at_hand(&self, start: u64, out: &mut [u8]) -> bool {
        let fits = |from: u64, bytes: &[u8]| {
            let at = usize::try_from(start.checked_sub(from)?).ok()?;
            bytes.get(at..at.checked_add(out.len())?).map(|_| at)
        };
        {
            let announced = self.announced.lock().unwrap_or_else(|e| e.into_inner());
            let found = announced.iter().find_map(|generation| {
                let (from, bytes) = generation.range(..=start).next_back()?;
                Some((fits(*from, bytes)?, bytes))
            });
            if let Some((at, bytes)) = found {
                out.copy_from_slice(&bytes[at..][..out.len()]);
                return true;
            }
        }
        let found = {
            let recent = self.recent.lock().unwrap_or_else(|e| e.into_inner());
            let mut pieces = recent.pieces.iter().rev();
            pieces.find_map(|(from, bytes)| Some((fits(*from, bytes)?, Arc::clone(bytes))))
        };
        found.is_some_and(|(at, bytes)| {
            out.copy_from_slice(&bytes[at..][..out.len()]);
            true
        })
    }

    /// How far to fetch for a read of `start..end`: the front of the file at once, and ahead of a reader that goes on where it stopped.
    fn reach(&self, start: u64, end: u64) -> u64 {
        let mut recent = self.recent.lock().unwrap_or_else(|e| e.into_inner());
        let before = recent.ends.iter().position(|(at, _)| *at == start);
        let run = before.and_then(|at| recent.ends.remove(at)).map_or(0, |(_, run)| run);
        let ahead = if run == 0 { 0 } else { (2 * run).clamp(end - start, AHEAD) };
        let least = if start < FRONT { FRONT } else { 0 };
        let reach = end.max(start + ahead).max(least).min(self.len);
        recent.ends.push_back((reach, reach - start));
        if recent.ends.len() > 64 {
            recent.ends.pop_front();
        }
        reach
    }
}

impl ReadAt for RemoteFile {
    fn len(&self) -> u64 {
        self.len
    }

    fn read_exact_at(&self, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        if buf.is_empty() || self.at_hand(offset, buf) {
            return Ok(());
        }
        // The front is fetched from its start, so that the first look at a file is one request.
        let start = if offset < FRONT { 0 } else { offset };
        let bytes = self.obtain(start, self.reach(start, end)).map_err(FetchError::into_io)?;
        buf.copy_from_slice(&bytes[(offset - start) as usize..][..buf.len()]);
        let mut recent = self.recent.lock().unwrap_or_else(|e| e.into_inner());
        recent.pieces.push_back((start, Arc::new(bytes)));
        while recent.pieces.iter().map(|(_, bytes)| bytes.len()).sum::<usize>() > RECENT
            && recent.pieces.len() > 1
        {
            recent.pieces.pop_front();
        }
        Ok(())
    }
}

/// Sorted, joined where little lies between, cut where they are long.
fn coalesce(ranges: &[(u64, u64)], len: u64) -> Vec<(u64, u64)> {
    let mut sorted: Vec<(u64, u64)> =
        ranges.iter().map(|(s, e)| (*s, (*e).min(len))).filter(|(s, e)| s < e).collect();
    sorted.sort_unstable();
    let mut between = sorted.iter().map(|(start, end)| end - start).sum::<u64>() / GAPS;
    let mut joined: Vec<(u64, u64)> = Vec::new();
    for (start, end) in sorted {
        match joined.last_mut() {
            Some(last)
                if start.saturating_sub(last.1) <= between.min(GAP)
                    && end.max(last.1) - last.0 <= LONGEST =>
            {
                between -= start.saturating_sub(last.1);
                last.1 = last.1.max(end);
            }
            _ => joined.push((start, end)),
        }
    }
    joined
}

/// First and last byte, and the length of the whole.
fn content_range(answer: &Answer) -> Option<(u64, u64, u64)> {
    let (range, total) = answer.header("Content-Range")?.strip_prefix("bytes ")?.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::coalesce;

    #[test]
    fn close_ranges_are_one_request() {
        assert_eq!(coalesce(&[(100, 200), (0, 50), (40, 120)], 1000), [(0, 200)]);
        assert_eq!(coalesce(&[(0, 10), (1 << 20, 1 << 21)], 1 << 30), [(0, 10), (1 << 20, 1 << 21)]);
        assert_eq!(coalesce(&[(5, 9), (9, 5)], 7), [(5, 7)]);
        assert_eq!(coalesce(&[(0, 320), (330, 640), (655, 665)], 1000), [(0, 640), (655, 665)]);
        let long: Vec<(u64, u64)> = (0..100).map(|i| (i << 16, (i + 1) << 16)).collect();
        let joined = coalesce(&long, 1 << 30);
        assert_eq!(joined.len(), 4);
        assert!(joined.windows(2).all(|w| w[0].1 == w[1].0) && joined[3].1 == 100 << 16);
    }
}
