//! Requests: one at a time, redirects followed by hand, made again after a pause where that may help.

use super::FetchError;
use super::address::Address;
use super::signing::sign;
use crate::Access;
use crate::access::Credential;
use std::io::Read;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime};
use ureq::http::{HeaderMap, Response};
use ureq::{Agent, Body};

/// Redirects followed, at most.
const HOPS: usize = 8;
/// Requests for one thing that end without a byte of it, at most.
const ATTEMPTS: u32 = 8;
/// Longest pause of our own, and the longest that a server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);
const LONGEST_WAIT: Duration = Duration::from_secs(300);
/// How long a server may be silent, and how long one body may take: ranges are a few megabytes.
const SILENCE: Duration = Duration::from_secs(30);
const BODY: Duration = Duration::from_secs(120);
/// Bytes of a listing, at most.
const LISTING_BYTES: u64 = 64 << 20;

/// Why one request did not do.
pub(super) enum Trouble {
    /// It may go better later: after so long, if the server said.
    Again(String, Option<Duration>),
    /// It will not.
    Final(FetchError),
}

/// An answer that is no redirect, and who gave it.
pub(super) struct Answer {
    pub(super) response: Response<Body>,
    pub(super) from: Address,
    /// Headers of the first answer when it was a redirect.
    pub(super) first: Option<HeaderMap>,
}

impl Answer {
    pub(super) fn status(&self) -> u16 {
        self.response.status().as_u16()
    }

    pub(super) fn header(&self, name: &str) -> Option<&str> {
        text(self.response.headers(), name)
    }
}

pub(super) fn text<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    headers.get(name)?.to_str().ok()
}

/// Makes requests for one model.
pub(crate) struct Client {
    agent: Agent,
    pub(super) access: Access,
    /// Servers that said "not before then" speak for all threads.
    not_before: Mutex<Option<Instant>>,
    draws: AtomicU64,
    /// Whether anything has answered.
    reached: AtomicBool,
}

impl Client {
    pub(crate) fn new(access: &Access) -> Result<Client, FetchError> {
        let proxy = match access.proxy.as_deref() {
            Some(proxy) => {
                Some(ureq::Proxy::new(proxy).map_err(|e| FetchError::new("the proxy", e.to_string()))?)
            }
            None => None,
        };
        let config = Agent::config_builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .proxy(proxy)
            .max_idle_connections_per_host(32)
            .timeout_connect(Some(SILENCE))
            .timeout_send_request(Some(SILENCE))
            .timeout_recv_response(Some(SILENCE))
            .timeout_recv_body(Some(BODY))
            .user_agent(concat!("stemmata/", env!("CARGO_PKG_VERSION")))
            .build();
        Ok(Client {
            agent: config.into(),
            access: access.clone(),
            not_before: Mutex::new(None),
            draws: AtomicU64::new(access.seed),
            reached: AtomicBool::new(false),
        })
    }

    /// Asks for bytes `start..end` of what lies at `address`, or for all of it. The credential is for the first server and
    /// no other.
    pub(super) fn get(
        &self,
        subject: &str,
        address: &Address,
        range: Option<(u64, u64)>,
        credential: Option<&Credential>,
    ) -> Result<Answer, Trouble> {
        let refuse = |reason: String| Trouble::Final(FetchError::new(subject, reason));
        // INVARIANT: every request of this room goes through here.
        if self.access.offline {
            return Err(refuse("`--offline` was asked for".to_owned()));
        }
        let mut at = address.clone();
        let mut first = None;
        for _ in 0..=HOPS {
            let mut request = self.agent.get(at.text()).header("Accept-Encoding", "identity");
            let range = range.map(|(start, end)| format!("bytes={start}-{}", end - 1));
            if let Some(range) = &range {
                request = request.header("Range", range);
            }
            match credential.filter(|_| at.same_server(address) && may_carry(&at)) {
                Some(Credential::Bearer(secret)) => {
                    request = request.header("Authorization", format!("Bearer {}", secret.word()));
                }
                Some(Credential::S3(keys)) => {
                    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    for (name, value) in sign(keys, &at, range.as_deref(), now.as_secs()) {
                        request = request.header(name, value);
                    }
                }
                None => {}
            }
            let response = request.call().map_err(|error| self.trouble(&error, subject))?;
            self.reached.store(true, Ordering::Relaxed);
            let answer = Answer { response, from: at.clone(), first: first.clone() };
            if !matches!(answer.status(), 301 | 302 | 303 | 307 | 308) || region(&answer).is_some() {
                return Ok(answer);
            }
            let response = answer.response;
            let location = text(response.headers(), "Location")
                .ok_or_else(|| Trouble::Again("a redirect that leads nowhere".to_owned(), None))?;
            let next = at
                .join(location)
                .ok_or_else(|| refuse("it redirects to something other than a web address".to_owned()))?;
            if next.scheme != "https" && address.scheme == "https" {
                return Err(refuse(format!("it redirects to `{}` without encryption", next.host)));
            }
            if next.is_private() && !address.is_private() {
                return Err(refuse(format!("it redirects into a private network (`{}`)", next.host)));
            }
            if first.is_none() {
                first = Some(response.headers().clone());
            }
            at = next;
        }
        Err(refuse(format!("it redirects more than {HOPS} times")))
    }

    /// What a failed request means. A name that is not known before anything answered is no passing trouble: there is no network, or no
    /// such host.
    fn trouble(&self, error: &ureq::Error, subject: &str) -> Trouble {
        let text = error.to_string();
        let unknown = matches!(error, ureq::Error::HostNotFound) || text.contains("lookup address");
        if unknown && !self.reached.load(Ordering::Relaxed) {
            let error = FetchError::new(subject, text);
            return Trouble::Final(
                error.with_hint("is there a network? what is already here is read with `--offline`"),
            );
        }
        Trouble::Again(text, None)
    }

    /// Does `once` until it succeeds, is refused, or has failed [`ATTEMPTS`] times in a row; it returns whether it made progress.
    pub(super) fn persist<T>(
        &self,
        subject: &str,
        once: &mut dyn FnMut() -> Result<T, (Trouble, bool)>,
    ) -> Result<T, FetchError> {
        let mut failures = 0;
        loop {
            self.wait_for_turn(subject)?;
            let (trouble, progress) = match once() {
                Ok(done) => return Ok(done),
                Err(failed) => failed,
            };
            let (reason, asked) = match trouble {
                Trouble::Final(error) => return Err(error),
                Trouble::Again(reason, asked) => (reason, asked),
            };
            failures = if progress { 1 } else { failures + 1 };
            if failures >= ATTEMPTS {
                let reason = format!("{reason} ({ATTEMPTS} attempts)");
                return Err(FetchError::new(subject, reason).with_hint("try again later, or use a mirror"));
            }
            match asked {
                Some(wait) if wait > LONGEST_WAIT => {
                    let reason = format!("the server asks to wait for {} s", wait.as_secs());
                    return Err(
                        FetchError::new(subject, reason).with_hint("try again later, or use a mirror")
                    );
                }
                Some(wait) => self.hold_until(Instant::now() + wait),
                None => self.sleep(self.pause(failures), subject)?,
            }
        }
    }

    /// A pause that doubles with each failure, with jitter so that threads do not come back all at once.
    fn pause(&self, failures: u32) -> Duration {
        let draw = self.draws.fetch_add(0x9e37_79b9_7f4a_7c15, Ordering::Relaxed);
        // The finaliser of SplitMix64 (Steele, Lea, Flood 2014).
        let mut z = draw;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        let unit = ((z ^ (z >> 31)) >> 11) as f64 / (1_u64 << 53) as f64;
        let doubled = self.access.pause * 2_u32.pow(failures.clamp(1, 8) - 1);
        doubled.min(LONGEST_PAUSE).mul_f64(0.5 + unit)
    }

    fn hold_until(&self, when: Instant) {
        let mut gate = self.not_before.lock().unwrap_or_else(|e| e.into_inner());
        *gate = Some(gate.map_or(when, |other| other.max(when)));
    }

    fn wait_for_turn(&self, subject: &str) -> Result<(), FetchError> {
        let gate = *self.not_before.lock().unwrap_or_else(|e| e.into_inner());
        match gate.and_then(|when| when.checked_duration_since(Instant::now())) {
            Some(left) => self.sleep(left, subject),
            None => self.sleep(Duration::ZERO, subject),
        }
    }

    /// Sleeps in short pieces, so that the user can stop.
    fn sleep(&self, left: Duration, subject: &str) -> Result<(), FetchError> {
        let until = Instant::now() + left;
        loop {
            if self.access.stop.load(Ordering::Relaxed) {
                return Err(FetchError::interrupted(subject));
            }
            let Some(left) = until.checked_duration_since(Instant::now()).filter(|left| !left.is_zero())
            else {
                return Ok(());
            };
            std::thread::sleep(left.min(Duration::from_millis(100)));
        }
    }

    /// A listing, at most [`LISTING_BYTES`] long.
    pub(super) fn listing(
        &self,
        subject: &str,
        address: &str,
        credential: Option<&Credential>,
    ) -> Result<Vec<u8>, FetchError> {
        let address =
            Address::parse(address).ok_or_else(|| FetchError::new(subject, "it has no web address"))?;
        self.persist(subject, &mut || {
            let answer = self.get(subject, &address, None, credential).map_err(|t| (t, false))?;
            if answer.status() != 200 {
                return Err((refusal(subject, &answer), false));
            }
            let claimed = answer.header("Content-Length").and_then(|n| n.parse::<u64>().ok());
            let mut body = Vec::new();
            let read =
                answer.response.into_body().into_reader().take(LISTING_BYTES + 1).read_to_end(&mut body);
            if body.len() as u64 > LISTING_BYTES {
                let error =
                    FetchError::new(subject, format!("its listing has more than {LISTING_BYTES} bytes"));
                return Err((Trouble::Final(error), false));
            }
            match read {
                Ok(_) if claimed.is_none_or(|claimed| claimed == body.len() as u64) => Ok(body),
                Ok(_) => Err((Trouble::Again("the connection was cut".to_owned(), None), false)),
                Err(error) => Err((Trouble::Again(error.to_string(), None), false)),
            }
        })
    }
}

/// Whether a secret may go there: encrypted, or no further than the private network.
fn may_carry(address: &Address) -> bool {
    address.scheme == "https" || address.is_private()
}

/// What an answer other than success means.
pub(super) fn refusal(subject: &str, answer: &Answer) -> Trouble {
    let status = answer.status();
    let of_first = || answer.first.as_ref().and_then(|first| text(first, "X-Error-Code"));
    let code = answer.header("X-Error-Code").or_else(of_first).unwrap_or_default();
    let last = |reason: &str| FetchError::new(subject, reason);
    let error = match (status, code) {
        (_, "GatedRepo") => last("its owner lets only some users in (gated)")
            .with_hint("ask for access on the model's page and set HF_TOKEN"),
        (_, "RepoNotFound") => last("there is no such repository, or it is private")
            .with_hint("check the spelling; for a private repository set HF_TOKEN"),
        (_, "RevisionNotFound") => last("the repository has no such revision"),
        (_, "EntryNotFound") => last("the repository has no such file"),
        // A store that lies in another region than was signed for.
        (301 | 400 | 403, _) if region(answer).is_some() => {
            let region = region(answer).unwrap_or_default();
            last(&format!("the bucket lies in region `{region}`"))
                .with_hint("set AWS_REGION to that region, if it is another one, and check the keys")
        }
        (401, _) => last("the server wants to know who asks (401)").with_hint(WHO_ASKS),
        (403, _) => last("the server refuses (403)").with_hint(WHO_ASKS),
        (404 | 410, _) => last("there is no such thing on the server").with_hint("check the spelling"),
        (408 | 425 | 429 | 500 | 502 | 503 | 504, _) => {
            return Trouble::Again(format!("the server says {status}"), wait_asked(answer));
        }
        _ => last(&format!("the server says {status}")),
    };
    Trouble::Final(error)
}

/// How to say who asks.
const WHO_ASKS: &str = "if you have access, set HF_TOKEN for the hub, AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY for an S3-compatible store, \
     GOOGLE_OAUTH_ACCESS_TOKEN for Google's";

/// The region that a store says a bucket lies in, if that is the name of one.
fn region(answer: &Answer) -> Option<&str> {
    let name = |text: &&str| text.len() < 40 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    answer.header("x-amz-bucket-region").filter(name)
}

/// How long the server asks to wait: `Retry-After` in seconds, or `t` of the `RateLimit` field.
fn wait_asked(answer: &Answer) -> Option<Duration> {
    let seconds = |text: &str| text.trim().parse::<u64>().ok().map(Duration::from_secs);
    let limit = || {
        let parts = answer.header("RateLimit")?.split(';');
        parts.filter_map(|part| part.trim().strip_prefix("t=")).find_map(seconds)
    };
    answer.header("Retry-After").and_then(seconds).or_else(limit)
}
