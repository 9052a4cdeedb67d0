//! Which request does what? Everything that changes something needs the voter's cookie, the form's token and the page's own origin.

use crate::app::{App, Refusal, now};
use crate::battle::{self, Question, State};
use crate::config::Medium;
use crate::keys::Voter;
use crate::limits::Wait;
use crate::pages::{self, REASONS};
use crate::store::{Ballot, StoreError};
use axum::Router;
use axum::body::{Body, Bytes};
use axum::extract::{DefaultBodyLimit, Path, Request, State as Shared};
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use std::sync::Arc;
use std::time::Duration;

const COOKIE: &str = "stemmata_voter";
/// Bytes of a form.
const FORM: usize = 256 << 10;
/// Time in which the body of a form must have come and be dealt with.
const REQUEST: Duration = Duration::from_secs(20);
/// Time between two steps of the reveal.
const STEP: Duration = Duration::from_millis(100);
/// A year, seconds.
const YEAR: u32 = 31_536_000;

const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self'; connect-src 'self'; \
     form-action 'self'; base-uri 'none'; frame-ancestors 'none'";

/// All routes.
pub(crate) fn router(app: Arc<App>) -> Router {
    Router::new()
        .route("/", get(home))
        .route("/ask", post(ask))
        .route("/battle/{id}", get(show))
        .route("/battle/{id}/events", get(events))
        .route("/battle/{id}/vote", post(vote))
        .route("/battle/{id}/{side}", get(media))
        .route("/standings", get(|app| standings(app, Medium::Text)))
        .route("/standings/{medium}", get(standings_of))
        .route("/style.css", get(|| asset(pages::style(), "text/css; charset=utf-8")))
        .route("/page.js", get(|| asset(pages::SCRIPT.to_owned(), "text/javascript; charset=utf-8")))
        .route("/icon.svg", get(|| asset(pages::ICON.to_owned(), "image/svg+xml")))
        .fallback(|| async { plain(StatusCode::NOT_FOUND, "Nothing is here", "This address leads nowhere.") })
        .layer(DefaultBodyLimit::max(FORM))
        .layer(middleware::from_fn(bounded))
        .layer(middleware::from_fn(headers))
        .with_state(app)
}

/// No request takes long before its answer begins; streams go on after that.
async fn bounded(request: Request, next: Next) -> Response {
    let streams = request.uri().path().ends_with("/events");
    if streams {
        return next.run(request).await;
    }
    match tokio::time::timeout(REQUEST, next.run(request)).await {
        Ok(response) => response,
        Err(_) => {
            plain(StatusCode::REQUEST_TIMEOUT, "Too slow", "The request took too long and was given up.")
        }
    }
}

/// What every answer says of itself.
async fn headers(request: Request, next: Next) -> Response {
    let mut response = next.run(request).await;
    let headers = response.headers_mut();
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::X_FRAME_OPTIONS, "DENY"),
        // Forms tell their origin to this site, other sites learn nothing.
        (header::REFERRER_POLICY, "same-origin"),
        (HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (HeaderName::from_static("cross-origin-resource-policy"), "same-origin"),
        (HeaderName::from_static("permissions-policy"), "camera=(), geolocation=(), microphone=()"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    if !headers.contains_key(header::CACHE_CONTROL) {
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    }
    response
}

async fn asset(text: String, kind: &'static str) -> Response {
    ([(header::CONTENT_TYPE, kind), (header::CACHE_CONTROL, "max-age=300")], text).into_response()
}

fn html(status: StatusCode, text: String) -> Response {
    (status, [(header::CONTENT_TYPE, "text/html; charset=utf-8")], text).into_response()
}

fn plain(status: StatusCode, heading: &str, text: &str) -> Response {
    html(status, pages::message(heading, text))
}

fn see(place: &str) -> Response {
    // INVARIANT: places are made here, of letters, digits and slashes.
    let place = HeaderValue::from_str(place).unwrap_or(HeaderValue::from_static("/"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, place)]).into_response()
}

fn voter(app: &App, headers: &HeaderMap) -> Option<Voter> {
    let cookies = headers.get_all(header::COOKIE).iter().filter_map(|value| value.to_str().ok());
    let pairs = cookies.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.filter(|(name, _)| *name == COOKIE).find_map(|(_, value)| app.keys.recognise(value))
}

/// Whether the request comes from a page of this site, as far as the browser says.
fn is_own(headers: &HeaderMap) -> bool {
    let text = |name: HeaderName| headers.get(name).map(|value| value.to_str().unwrap_or("?"));
    let site = text(HeaderName::from_static("sec-fetch-site"));
    if site.is_some_and(|site| site != "same-origin") {
        return false;
    }
    match (text(header::ORIGIN), text(header::HOST)) {
        (Some(origin), Some(host)) => origin.split_once("://").is_some_and(|(_, rest)| rest == host),
        (Some(_), None) => false,
        (None, _) => true,
    }
}

async fn home(Shared(app): Shared<Arc<App>>, headers: HeaderMap) -> Response {
    let (voter, new) = match voter(&app, &headers) {
        Some(voter) => (voter, false),
        None => match app.keys.voter() {
            Ok(voter) => (voter, true),
            Err(error) => return unexpected(&app, &error.to_string()),
        },
    };
    let token = app.keys.token("ask", "", &voter);
    let mut response = html(StatusCode::OK, pages::home(&app.config, &token));
    if new {
        let secure = if app.config.secure_cookies { "; Secure" } else { "" };
        let cookie =
            format!("{COOKIE}={}; Path=/; Max-Age={YEAR}; HttpOnly; SameSite=Lax{secure}", voter.cookie);
        if let Ok(value) = HeaderValue::from_str(&cookie) {
            response.headers_mut().insert(header::SET_COOKIE, value);
        }
    }
    response
}

/// The fields of a form from a page of ours, and who sent it.
struct Sent {
    voter: Voter,
    fields: Vec<(String, String)>,
}

impl Sent {
    fn read(app: &App, headers: &HeaderMap, body: &Bytes) -> Result<Sent, Box<Response>> {
        let refuse = |text: &str| Err(Box::new(plain(StatusCode::FORBIDDEN, "Not taken", text)));
        if !is_own(headers) {
            return refuse("The form was sent from another site.");
        }
        let Some(voter) = voter(app, headers) else {
            return refuse(
                "Your browser sent no cookie of this page. Without one, votes of one person cannot be told from votes of many. \
                 Open the first page again and allow its cookie.",
            );
        };
        let fields = form_urlencoded::parse(body).into_owned().collect();
        Ok(Sent { voter, fields })
    }

    fn one(&self, name: &str) -> &str {
        self.fields.iter().find(|(field, _)| field == name).map_or("", |(_, value)| value)
    }

    fn all<'a>(&'a self, name: &'a str) -> impl Iterator<Item = &'a str> {
        self.fields.iter().filter(move |(field, _)| field == name).map(|(_, value)| value.as_str())
    }
}

fn stale() -> Response {
    plain(
        StatusCode::FORBIDDEN,
        "Not taken",
        "The form is not one of this page, or it was made for somebody else.",
    )
}

async fn ask(Shared(app): Shared<Arc<App>>, headers: HeaderMap, body: Bytes) -> Response {
    let sent = match Sent::read(&app, &headers, &body) {
        Ok(sent) => sent,
        Err(refusal) => return *refusal,
    };
    if !app.keys.is_token(sent.one("token"), "ask", "", &sent.voter) {
        return stale();
    }
    let listed = app.config.prompts.iter().find(|prompt| prompt.id == sent.one("id"));
    let typed = sent.one("prompt").replace("\r\n", "\n").replace('\0', "");
    let question = match listed {
        Some(prompt) => Question { medium: prompt.medium, id: Some(&prompt.id), text: &prompt.text },
        None if !sent.one("id").is_empty() || !app.config.is_open() => {
            return plain(StatusCode::BAD_REQUEST, "Not taken", "There is no such question.");
        }
        None => Question { medium: Medium::Text, id: None, text: typed.trim() },
    };
    if question.text.is_empty() {
        return plain(StatusCode::BAD_REQUEST, "Nothing was asked", "Write a question first.");
    }
    let limit = app.config.limits.prompt_characters;
    if listed.is_none() && question.text.chars().count() > limit {
        let text = format!("A question has {limit} characters at most.");
        return plain(StatusCode::PAYLOAD_TOO_LARGE, "Too long", &text);
    }
    match app.ask(&question, &sent.voter.hash).await {
        Ok(id) => see(&format!("/battle/{id}")),
        Err(Refusal::Wait(Wait::Voter)) => plain(
            StatusCode::TOO_MANY_REQUESTS,
            "One moment",
            "You asked often in a short time. Try again in a minute.",
        ),
        Err(Refusal::Wait(Wait::Everybody) | Refusal::Busy) => plain(
            StatusCode::SERVICE_UNAVAILABLE,
            "One moment",
            "Many people are asking at this moment. Try again in a minute.",
        ),
        Err(Refusal::Nobody) => plain(StatusCode::BAD_REQUEST, "Not taken", "Nobody can answer that."),
        Err(Refusal::Store(error)) => stored(&app, &error),
        Err(Refusal::Other(error)) => unexpected(&app, &error.to_string()),
    }
}

async fn show(Shared(app): Shared<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(voter) = voter(&app, &headers) else { return stored(&app, &StoreError::Missing) };
    let (battle, receipt) = match app.store.battle(&id, &voter.hash).await {
        Ok(found) => found,
        Err(error) => return stored(&app, &error),
    };
    let ask = app.keys.token("ask", "", &voter);
    html(
        StatusCode::OK,
        match (battle.state, receipt) {
            (_, Some(receipt)) => match app.store.checked(&voter.hash).await {
                Ok(checked) => pages::opened(&battle, &receipt, checked),
                Err(error) => return stored(&app, &error),
            },
            (State::Failed, None) => pages::void(&app.config, &battle, &ask),
            (_, None) => pages::battle(&battle, &app.keys.token("vote", &id, &voter)),
        },
    )
}

async fn vote(
    Shared(app): Shared<Arc<App>>,
    Path(id): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> Response {
    let sent = match Sent::read(&app, &headers, &body) {
        Ok(sent) => sent,
        Err(refusal) => return *refusal,
    };
    if !app.keys.is_token(sent.one("token"), "vote", &id, &sent.voter) {
        return stale();
    }
    let winner = match sent.one("choice") {
        "a" => "model_a",
        "b" => "model_b",
        "tie" => "tie",
        "bad" => "tie (bothbad)",
        _ => return plain(StatusCode::BAD_REQUEST, "Not taken", "There is no such choice."),
    };
    let reasons = REASONS.iter().map(|(name, _)| *name).filter(|name| sent.all("reason").any(|r| r == *name));
    let ballot = Ballot {
        battle: id.clone(),
        voter: sent.voter.hash.clone(),
        winner,
        reasons: reasons.map(str::to_owned).collect(),
        now: now(),
    };
    match app.store.vote(ballot).await {
        // A form that is sent twice leads to the vote that was counted.
        Ok(_) | Err(StoreError::Voted) => see(&format!("/battle/{id}")),
        Err(error) => stored(&app, &error),
    }
}

async fn media(
    Shared(app): Shared<Arc<App>>,
    Path((id, side)): Path<(String, String)>,
    headers: HeaderMap,
) -> Response {
    let found = match (voter(&app, &headers), side.as_str()) {
        (Some(voter), "a" | "b") => app.store.battle(&id, &voter.hash).await,
        _ => Err(StoreError::Missing),
    };
    let battle = match found {
        Ok((battle, _)) if battle.state == State::Ready => battle,
        Ok(_) => return stored(&app, &StoreError::NotReady),
        Err(error) => return stored(&app, &error),
    };
    let place = &battle.answers[usize::from(side == "b")];
    match battle::media(&app.config, place) {
        Some((bytes, kind)) => part(Bytes::from_owner(bytes), kind, headers.get(header::RANGE)),
        None => stored(&app, &StoreError::Missing),
    }
}

/// The bytes, or the range of them that was asked for: some players of films take nothing else.
fn part(bytes: Bytes, kind: &'static str, range: Option<&HeaderValue>) -> Response {
    let kind = [(header::CONTENT_TYPE, kind), (header::ACCEPT_RANGES, "bytes")];
    let length = bytes.len();
    let asked = range.and_then(|value| value.to_str().ok()?.strip_prefix("bytes=")?.split_once('-'));
    let ends = asked.and_then(|(from, to)| match (from.parse::<usize>(), to.parse::<usize>()) {
        (Ok(from), Ok(to)) if from <= to => Some((from, to.saturating_add(1).min(length))),
        (Ok(from), Err(_)) if to.is_empty() => Some((from, length)),
        (Err(_), Ok(last)) if from.is_empty() => Some((length.saturating_sub(last), length)),
        // Several ranges, or none that make sense: all of it.
        _ => None,
    });
    match ends {
        None => (kind, Body::from(bytes)).into_response(),
        Some((from, to)) if from < to => {
            let place = [(header::CONTENT_RANGE, format!("bytes {from}-{}/{length}", to - 1))];
            (StatusCode::PARTIAL_CONTENT, kind, place, Body::from(bytes.slice(from..to))).into_response()
        }
        Some(_) => {
            let place = [(header::CONTENT_RANGE, format!("bytes */{length}"))];
            (StatusCode::RANGE_NOT_SATISFIABLE, place).into_response()
        }
    }
}

/// Both answers in steps of equally many characters. The wait before tells nothing but that both are complete.
async fn events(Shared(app): Shared<Arc<App>>, Path(id): Path<String>, headers: HeaderMap) -> Response {
    let Some(voter) = voter(&app, &headers) else { return stored(&app, &StoreError::Missing) };
    if let Err(error) = app.store.battle(&id, &voter.hash).await {
        return stored(&app, &error);
    }
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse::<usize>().ok());
    let stream = crate::stream::reveal(app, id, voter, last.unwrap_or(0), STEP);
    let kind = [(header::CONTENT_TYPE, "text/event-stream"), (header::CACHE_CONTROL, "no-store")];
    (kind, Body::from_stream(stream)).into_response()
}

async fn standings_of(app: Shared<Arc<App>>, Path(medium): Path<String>) -> Response {
    match Medium::from_name(&medium) {
        Some(medium) => standings(app, medium).await,
        None => plain(StatusCode::NOT_FOUND, "Nothing is here", "There is no such medium."),
    }
}

async fn standings(Shared(app): Shared<Arc<App>>, medium: Medium) -> Response {
    match app.board.page(medium).await {
        Ok(page) => html(StatusCode::OK, page.as_ref().clone()),
        Err(what) => unexpected(&app, &what),
    }
}

fn stored(app: &App, error: &StoreError) -> Response {
    match error {
        StoreError::Missing => plain(
            StatusCode::NOT_FOUND,
            "Nothing is here",
            "There is no such battle, or it is somebody else's.",
        ),
        StoreError::NotReady => plain(
            StatusCode::CONFLICT,
            "Not yet",
            "The answers are not complete. A vote counts when both are.",
        ),
        StoreError::Voted => {
            plain(StatusCode::CONFLICT, "Counted already", "A vote on this battle was counted.")
        }
        StoreError::Full => {
            app.tell("the disk is full: nothing is taken until there is room");
            plain(
                StatusCode::INSUFFICIENT_STORAGE,
                "Not counted",
                "There is no room left to keep this. Nothing was counted; please tell whoever runs this page.",
            )
        }
        StoreError::Other(what) => unexpected(app, what),
    }
}

fn unexpected(app: &App, what: &str) -> Response {
    app.tell(&format!("a request failed: {}", stemmata_audit::printable(what)));
    plain(
        StatusCode::INTERNAL_SERVER_ERROR,
        "Not done",
        "Something went wrong on this side. Nothing was counted.",
    )
}
