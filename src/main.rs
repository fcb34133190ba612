//! Starts konpo: arguments, logging, runtime, exit code. The only place that may end the process.

#![deny(clippy::print_stdout, clippy::print_stderr)]

use std::io::Write;
use std::process::ExitCode;
use std::time::Duration;

use clap::Parser;
use konpo::cli::{Cli, Command};
use konpo::ctl::Daemon;
use konpo::error::{Kind, Result};
use konpo::{cli, ctl, run, seams, web};
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;

fn main() -> ExitCode {
    konpo::library::idle::keep_heap_small();
    let cli = Cli::parse();
    log(&cli.command);
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(WORKERS)
        .max_blocking_threads(BLOCKING)
        .thread_keep_alive(Duration::from_secs(5))
        .thread_name("konpo-task")
        .enable_all()
        .build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(error) => {
            complain(format_args!("start the runtime: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let unreachable = matches!(cli.command, Command::Ctl { .. });
    let result = runtime.block_on(obey(cli.command));
    // A disk that hangs must not hold the end.
    runtime.shutdown_timeout(Duration::from_millis(100));
    match result {
        Ok(code) => code,
        Err(error) => {
            complain(&error);
            let daemon_missing = unreachable && error.kind() == Kind::Unreachable;
            ExitCode::from(if daemon_missing { DAEMON_MISSING } else { 1 })
        }
    }
}

/// Says what went wrong; where nobody reads it, the exit code tells.
fn complain(why: impl std::fmt::Display) {
    let _unread = writeln!(std::io::stderr(), "konpo: {why}");
}

async fn obey(command: Command) -> Result<ExitCode> {
    match command {
        Command::Serve(serve) => {
            let stop = CancellationToken::new();
            tokio::spawn(watch_signals(stop.clone()));
            run::run(serve.settle()?, stop).await?;
        }
        Command::Probe { files, json, personal } => {
            return Ok(verdict(seams::probe::probe(&files, seams::probe::How { json, personal })?));
        }
        Command::Play { files, output, json } => {
            let played = tokio::task::spawn_blocking(move || seams::play(&files, &output, json));
            return Ok(verdict(joined(played).await?));
        }
        Command::Outputs { json } => {
            joined(tokio::task::spawn_blocking(move || seams::outputs(json))).await?
        }
        Command::Neighbours { seconds, interface, address, json } => {
            seams::neighbours(Duration::from_secs(seconds), interface, address, json).await?;
        }
        Command::Check { repair, rebuild, roll_back, place, json } => {
            let settled = place.settle()?;
            let how = seams::Check::of(repair, rebuild, roll_back);
            let checked = tokio::task::spawn_blocking(move || seams::check(&settled, how, json));
            return Ok(verdict(joined(checked).await?));
        }
        Command::Export { out, folder, place, json } => {
            let settled = place.settle()?;
            let written =
                tokio::task::spawn_blocking(move || seams::export::export(&settled, &out, &folder, json));
            return Ok(verdict(joined(written).await?));
        }
        Command::Ctl { data, socket, url, token, json, ask } => {
            let daemon = match (url, socket) {
                (Some(url), _) => Daemon::Url { url, token },
                (None, Some(socket)) => Daemon::Socket(socket),
                (None, None) => {
                    let data = data.map_or_else(cli::usual_data, Ok)?;
                    Daemon::Socket(web::socket_path(&data))
                }
            };
            seams::print::line(ctl::run(&daemon, &ask, json).await?)?;
        }
    }
    Ok(ExitCode::SUCCESS)
}

async fn joined<T>(task: tokio::task::JoinHandle<Result<T>>) -> Result<T> {
    match task.await {
        Ok(result) => result,
        Err(error) => Err(konpo::error::Error::with(Kind::Internal, "run a part of konpo", error)),
    }
}

fn verdict(good: bool) -> ExitCode {
    if good { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

/// The first SIGTERM or SIGINT stops in order; the second ends at once.
async fn watch_signals(stop: CancellationToken) {
    let (Ok(mut term), Ok(mut int)) = (signal(SignalKind::terminate()), signal(SignalKind::interrupt()))
    else {
        tracing::error!("signals cannot be watched: only SIGKILL ends konpo");
        return;
    };
    for first in [true, false] {
        tokio::select! {
            _ = term.recv() => {}
            _ = int.recv() => {}
        }
        if first {
            tracing::info!("stopping");
            stop.cancel();
        }
    }
    std::process::exit(AT_ONCE);
}

fn log(command: &Command) {
    use tracing_subscriber::EnvFilter;
    let usual = if matches!(command, Command::Serve(_)) { "info,rupnp=warn,mdns_sd=error" } else { "error" };
    let filter = EnvFilter::try_from_env("KONPO_LOG").unwrap_or_else(|_| EnvFilter::new(usual));
    let color = std::io::IsTerminal::is_terminal(&std::io::stderr());
    // systemd's journal stamps the time itself.
    let stamped = std::env::var_os("JOURNAL_STREAM").is_none();
    let builder =
        tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(color);
    if stamped { builder.init() } else { builder.without_time().init() }
}

/// Two cores are what the smallest box has to spare; more threads cost stacks and arenas.
const WORKERS: usize = 2;
/// Threads for file work: few, for the disk is one.
const BLOCKING: usize = 8;
/// `konpo ctl` without a daemon (design, "Command line").
const DAEMON_MISSING: u8 = 3;
/// 128 + SIGINT, as a shell reports it.
const AT_ONCE: i32 = 130;
