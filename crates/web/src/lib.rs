//! The blind page: a person asks, sees two nameless answers, votes, and sees the names only then.
//!
//! Answers: *which of two answers does a person prefer, and can everybody trust that it was asked blindly?* A face: it opens sockets and its own
//! database. Must not know: weights, verdicts, how ratings are fitted.
#![forbid(unsafe_code)]

mod app;
mod battle;
mod chain;
mod config;
mod draw;
mod error;
mod export;
mod keys;
mod limits;
mod mask;
mod matrix;
mod media;
mod pages;
mod random;
mod recorded;
mod routes;
mod server;
mod standings;
mod store;
mod stream;
mod timeline;
mod upstream;

pub use chain::{Look, Record, Verified, verify};
pub use config::{Config, Gold, Limits, Medium, Reveal, Sampling};
pub use draw::{Draw, GOLD};
pub use error::WebError;
pub use export::{Exported, Voters, export};
pub use server::{Serve, Tell, serve};
pub use store::Database;
