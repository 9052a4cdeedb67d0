//! What does an endpoint answer? One question, streamed back as server-sent events, bounded in time and size.
//!
//! Blocking: it runs on a thread that the runtime lends. What an endpoint says of itself in an error goes to the operator, never to a
//! voter.

use crate::config::{Endpoint, Sampling};
use serde_json::{Value, json};
use std::io::{BufRead, BufReader, Read};
use std::time::{Duration, Instant};

/// Bytes of a stream at most, for each character of an answer that is kept: events wrap every token in some hundred bytes.
const BYTES_PER_CHARACTER: u64 = 1024;
/// Bytes of one event.
const EVENT: u64 = 1 << 20;

/// The bounds of one answer.
#[derive(Clone, Copy)]
pub(crate) struct Bounds {
    /// When it must be complete.
    pub(crate) deadline: Instant,
    /// Characters that are kept.
    pub(crate) characters: usize,
}

/// A client for all endpoints. Follows no redirection, so that a key goes nowhere else.
pub(crate) fn agent(proxy: Option<&str>) -> Result<ureq::Agent, String> {
    let proxy = proxy.map(ureq::Proxy::new).transpose().map_err(|error| format!("the proxy: {error}"))?;
    let config = ureq::Agent::config_builder()
        .proxy(proxy)
        .max_redirects(0)
        .max_redirects_will_error(false)
        .http_status_as_error(false)
        .timeout_connect(Some(Duration::from_secs(10)))
        .user_agent("stemmata")
        .build();
    Ok(config.into())
}

/// Asks, and returns the whole answer.
///
/// # Errors
/// What went wrong, for the operator.
pub(crate) fn ask(
    agent: &ureq::Agent,
    endpoint: &Endpoint,
    sampling: &Sampling,
    prompt: &str,
    bounds: Bounds,
) -> Result<String, String> {
    let mut messages = Vec::new();
    if !sampling.system.is_empty() {
        messages.push(json!({"role": "system", "content": sampling.system}));
    }
    messages.push(json!({"role": "user", "content": prompt}));
    let body = json!({
        "model": endpoint.model,
        "messages": messages,
        "max_tokens": sampling.max_tokens,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "stream": true,
    });
    let left = bounds.deadline.saturating_duration_since(Instant::now());
    if left.is_zero() {
        return Err("no time is left".to_owned());
    }
    let mut request = agent
        .post(&endpoint.url)
        .config()
        .timeout_global(Some(left))
        .build()
        .header("content-type", "application/json")
        .header("accept", "text/event-stream");
    if let Some(key) = &endpoint.key {
        request = request.header("authorization", &format!("Bearer {key}"));
    }
    let response = request.send(body.to_string().as_bytes()).map_err(|error| error.to_string())?;
    let status = response.status().as_u16();
    if status != 200 {
        return Err(format!("status {status}"));
    }
    let limit = (bounds.characters as u64).saturating_mul(BYTES_PER_CHARACTER).saturating_add(EVENT);
    let stream = response.into_body().into_with_config().limit(limit).reader();
    let mut answer = collect(BufReader::new(stream), bounds.characters)?;
    answer = without_reasoning(&answer).trim().to_owned();
    if answer.is_empty() { Err("the answer is empty".to_owned()) } else { Ok(answer) }
}

/// Puts the pieces of a stream together. An answer is complete when the stream says so, not when it ends.
fn collect(mut stream: impl BufRead, characters: usize) -> Result<String, String> {
    let (mut answer, mut kept, mut complete) = (String::new(), 0, false);
    let mut line = Vec::new();
    loop {
        line.clear();
        let read = Read::take(&mut stream, EVENT).read_until(b'\n', &mut line);
        if read.map_err(|error| format!("the stream broke: {error}"))? == 0 {
            return if complete { Ok(answer) } else { Err("the stream ended before the answer".to_owned()) };
        }
        let text = std::str::from_utf8(&line).map_err(|_| "the stream is no UTF-8".to_owned())?;
        // Other fields and comments of the event stream say nothing here.
        let Some(data) = text.trim_end_matches(['\r', '\n']).strip_prefix("data:") else { continue };
        let data = data.trim_start();
        if data == "[DONE]" {
            return Ok(answer);
        }
        let event: Value =
            serde_json::from_str(data).map_err(|error| format!("an event is no JSON: {error}"))?;
        if !event["error"].is_null() {
            return Err("the stream reports an error".to_owned());
        }
        let choice = &event["choices"][0];
        if let Some(piece) = choice["delta"]["content"].as_str() {
            for c in piece.chars() {
                if kept == characters {
                    return Ok(answer);
                }
                answer.push(c);
                kept += 1;
            }
        }
        // Some servers end the stream after this without the last line.
        complete |= choice["finish_reason"].is_string();
    }
}

/// Without what a model thought before it answered: not every model shows it, so it would tell them apart.
fn without_reasoning(answer: &str) -> &str {
    let start = answer.trim_start();
    if !start.starts_with("<think>") {
        return answer;
    }
    start.split_once("</think>").map_or("", |(_, rest)| rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(stream: &str) -> Result<String, String> {
        collect(stream.as_bytes(), 10)
    }

    fn piece(text: &str) -> String {
        format!("data: {}\n\n", json!({"choices": [{"delta": {"content": text}}]}))
    }

    #[test]
    fn pieces_are_put_together_up_to_the_end() {
        let end = "data: {\"choices\":[{\"delta\":{},\"finish_reason\":\"stop\"}]}\n\n";
        let two = format!(": hello\r\n{}event: x\n{}", piece("ab"), piece("é"));
        assert_eq!(of(&format!("{two}data: [DONE]\n")).unwrap(), "abé");
        assert_eq!(of(&format!("{two}{end}")).unwrap(), "abé");
        assert_eq!(of(&format!("{}{}", piece("0123456789"), piece("more"))).unwrap(), "0123456789");
        assert!(of(&two).unwrap_err().contains("ended before"));
        assert!(of("data: {\n").unwrap_err().contains("no JSON"));
        assert!(
            of("data: {\"error\":{\"message\":\"I am GPT\"}}\n").unwrap_err().contains("reports an error")
        );
        assert!(of("\u{0}").is_err());
    }

    #[test]
    fn thoughts_are_left_out() {
        assert_eq!(without_reasoning("<think>a</think>b"), "b");
        assert_eq!(without_reasoning("<think>never done"), "");
        assert_eq!(without_reasoning("a <think> b"), "a <think> b");
    }
}
