//! Drives an authorization server over HTTP/1.1 with connections that are kept, and says how fast it was and at what
//! cost. Every answer is checked: one that is not what was asked for is an error, and counts as nothing else.

mod browser;
mod http;
mod pace;
mod process;
mod report;
mod target;
mod worker;

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::{Parser, ValueEnum as _};
use pace::{OVERTIME, Pace, Window};
use report::{Report, Setup, Tally, Used};
use target::Target;
use tokio::task::JoinSet;
use tokio::time::sleep_until;
use worker::{Operation, Worker};

#[derive(Parser)]
#[command(about)]
struct Args {
    operation: Operation,
    /// What is driven, as JSON: addresses, clients, a user. By default what `benches/register` sets up.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// Where it listens. By default what the target says.
    #[arg(long)]
    url: Option<String>,
    #[arg(long, default_value_t = 32)]
    connections: usize,
    #[arg(long, default_value = "10s", value_parser = humantime::parse_duration)]
    duration: Duration,
    /// How long it runs before anything counts.
    #[arg(long, default_value = "1s", value_parser = humantime::parse_duration)]
    warm_up: Duration,
    /// Open loop: so many requests a second, whatever the server does, and latency counts from when each was due.
    /// Without it a closed loop: each connection sends its next request when it has the answer to the last.
    #[arg(long)]
    rate: Option<f64>,
    /// A process of the server; its children count too. May be repeated.
    #[arg(long)]
    pid: Vec<u32>,
    /// A process of its database, in the same way.
    #[arg(long)]
    database_pid: Vec<u32>,
    /// How many different tokens are asked about, all connections together.
    #[arg(long, default_value_t = 1_000)]
    tokens: usize,
    /// Print JSON.
    #[arg(long)]
    json: bool,
}

fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    // One thread: what it takes is taken from the server.
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let report = runtime.block_on(measure(&args))?;
    if args.json {
        println!("{}", serde_json::to_string(&report)?);
    } else {
        print!("{report}");
    }
    Ok(())
}

async fn measure(args: &Args) -> anyhow::Result<Report> {
    let mut target = Target::load(args.target.as_deref())?;
    target.url = args.url.clone().unwrap_or(target.url);
    let target = Arc::new(target);
    let operation = args.operation;
    let tokens = args.tokens.div_ceil(args.connections);

    // One after the other: to sign in all at once is more than a server need take.
    let mut workers = Vec::with_capacity(args.connections);
    for _ in 0..args.connections {
        let mut worker = Worker::new(target.clone())?;
        worker.prepare(operation, tokens).await?;
        // What cannot be done once need not be measured.
        worker.run(operation).await?;
        workers.push(worker);
    }

    let begin = Instant::now() + args.warm_up;
    let window = Window { begin, end: begin + args.duration };
    let pace = args.rate.map_or(Pace::Closed, |rate| Pace::open(rate, window));
    let tally = Arc::new(Mutex::new(Tally::new(window, args.rate.is_some())?));
    let mut running = JoinSet::new();
    for mut worker in workers {
        let (pace, tally) = (pace.clone(), tally.clone());
        running.spawn(async move {
            while let Some(from) = pace.next(window).await {
                let outcome = worker.run(operation).await;
                let broken = outcome.is_err();
                tally.lock().unwrap_or_else(PoisonError::into_inner).count(from, outcome);
                if broken && worker.prepare(operation, tokens).await.is_err() {
                    // The next request fails as well, and is counted; but not a million of them.
                    tokio::time::sleep(Duration::from_millis(100)).await;
                }
            }
            worker
        });
    }

    sleep_until(window.begin.into()).await;
    let before = used(args);
    sleep_until(window.end.into()).await;
    let after = used(args);
    let used = Used {
        server: after.server.zip(before.server).map(|(after, before)| after.saturating_sub(before)),
        database: after.database.zip(before.database).map(|(after, before)| after.saturating_sub(before)),
        generator: after.generator.saturating_sub(before.generator),
    };

    let (mut opened, mut tokens) = (0, std::collections::BTreeMap::new());
    while let Ok(Some(worker)) = tokio::time::timeout(OVERTIME * 4, running.join_next()).await {
        let worker = worker.context("a worker stopped")?;
        opened += worker.connections_opened();
        tokens.extend(worker.seen);
    }
    let never_sent = pace.never_sent().await;
    let mut tally = tally.lock().unwrap_or_else(PoisonError::into_inner);
    tally.fail(format!("due, and not sent {OVERTIME:?} after the end"), never_sent);
    let setup = Setup {
        operation: operation.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default(),
        url: target.url.clone(),
        connections: args.connections,
        seconds: args.duration.as_secs_f64(),
        rate_asked: args.rate,
    };
    Ok(Report::new(setup, &tally, used).with(opened, tokens))
}

fn used(args: &Args) -> Used {
    let of = |pids: &[u32]| (!pids.is_empty()).then(|| process::processor_time(pids));
    Used {
        server: of(&args.pid),
        database: of(&args.database_pid),
        generator: process::processor_time(&[std::process::id()]),
    }
}
