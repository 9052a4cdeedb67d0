//! Takes connections, bounds what each may cost, and stops in order.

use crate::app::App;
use crate::config::Config;
use crate::error::WebError;
use crate::keys::Keys;
use crate::routes;
use crate::store::{self, Database};
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::{Semaphore, watch};

/// Time in which the head of a request must have come; also how long an idle connection is kept.
const HEAD: Duration = Duration::from_secs(10);
/// How long a connection lives, whatever it does; streams of answers are far shorter.
const CONNECTION: Duration = Duration::from_secs(900);
/// How long open requests may take after a stop.
const GRACE: Duration = Duration::from_secs(5);
/// Bytes of the head of a request.
const HEAD_BYTES: usize = 16 << 10;

/// Receives notices for the operator, one line each.
pub type Tell = Arc<dyn Fn(&str) + Send + Sync>;

/// What a server is made of.
pub struct Serve {
    /// What is judged.
    pub config: Config,
    /// Where to listen.
    pub listen: SocketAddr,
    /// Where votes are kept.
    pub database: Database,
    /// The file of the server's key; without it [`Database::key`].
    pub key: Option<PathBuf>,
}

/// Serves until `stop` is raised.
///
/// # Errors
/// What keeps the server from starting.
pub fn serve(settings: Serve, stop: &AtomicBool, tell: &Tell) -> Result<(), WebError> {
    let Serve { config, listen, database, key } = settings;
    let keys = Keys::open(&key.unwrap_or_else(|| database.key()))?;
    let (store, keeper) = store::open(&database)?;
    let runtime =
        tokio::runtime::Builder::new_multi_thread().enable_all().build().map_err(WebError::Start)?;
    let outcome = runtime.block_on(async {
        let refused = |source| WebError::Listen { address: listen.to_string(), source };
        let listener = TcpListener::bind(listen).await.map_err(refused)?;
        let address = listener.local_addr().map_err(refused)?;
        let connections = config.limits.connections;
        let (stopping, stopped) = watch::channel(false);
        let app = App::new(config, store, keys, database, Arc::clone(tell), stopped)?;
        tell(&format!("serving http://{address}/"));
        accept(&listener, &Arc::new(app), connections, stop, &stopping).await;
        Ok(())
    });
    // Threads that still wait for an endpoint are left to their deadlines.
    runtime.shutdown_timeout(Duration::from_millis(200));
    keeper.finish();
    outcome
}

async fn accept(
    listener: &TcpListener,
    app: &Arc<App>,
    connections: usize,
    stop: &AtomicBool,
    stopping: &watch::Sender<bool>,
) {
    let places = Arc::new(Semaphore::new(connections));
    let graceful = GracefulShutdown::new();
    let router = routes::router(Arc::clone(app));
    let mut look = tokio::time::interval(Duration::from_millis(100));
    let mut http = hyper::server::conn::http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD).max_buf_size(HEAD_BYTES).keep_alive(true);
    loop {
        let stream = tokio::select! {
            _ = look.tick() => {
                if stop.load(Ordering::Relaxed) {
                    break;
                }
                continue;
            }
            accepted = listener.accept() => match accepted {
                Ok((stream, _)) => stream,
                Err(_) => {
                    // Too many open files, or a connection that is gone already: others go on meanwhile.
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    continue;
                }
            },
        };
        // More than the limit are closed at once: waiting ones would take the places of the files that the database needs.
        let Ok(place) = Arc::clone(&places).try_acquire_owned() else { continue };
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = graceful.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            let _place = place;
            // A connection that fails is the other side's affair.
            let _ = tokio::time::timeout(CONNECTION, connection).await;
        });
    }
    let _ = stopping.send(true);
    let _ = tokio::time::timeout(GRACE, graceful.shutdown()).await;
}
