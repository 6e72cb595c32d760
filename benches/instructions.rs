//! How many instructions the operations of the hot path take, held against the figures in `instructions.toml`.
//!
//! A machine that others use tells nothing by its clock, but callgrind counts the same instructions every time. This
//! program runs itself under it; what is counted is what happens inside of [`counted`]. The crate gungraun does more of
//! this, with a runner to install in the very same version; two of callgrind's options are all that is needed here.

mod support;

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;
use std::process::{Command, ExitCode};
use std::{env, fs};

use support::operations::{OPERATIONS, Operation, World};
use tokio::runtime::Builder;

const FIGURES: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/instructions.toml");
const ACCEPT: &str = "cargo bench --profile count --bench instructions -- --accept";
/// Per cent. A signature takes a few more or less by its random numbers, and a processor with fewer features as well.
const TOLERANCE: f64 = 5.0;
/// Of so many runs the smallest counts: the first fill caches, and a table may grow under any.
const RUNS: usize = 7;
/// Makes this program run the operations instead of counting them.
const COUNTED: &str = "--counted";

fn main() -> ExitCode {
    if env::args().any(|arg| arg == COUNTED) {
        run();
        return ExitCode::SUCCESS;
    }
    if !cfg!(target_arch = "x86_64") {
        println!("instructions: not counted, since the figures are those of x86_64");
        return ExitCode::SUCCESS;
    }
    if !Command::new("valgrind").arg("--version").output().is_ok_and(|valgrind| valgrind.status.success()) {
        println!("instructions: not counted, since valgrind does not run here");
        return ExitCode::SUCCESS;
    }
    let found = count();
    if env::args().any(|arg| arg == "--accept") {
        fs::write(FIGURES, written(&found)).expect("the figures are written");
        println!("written to {FIGURES}");
        return ExitCode::SUCCESS;
    }
    compare(&found)
}

/// Runs each operation under [`counted`], in order.
fn run() {
    let runtime = Builder::new_current_thread().enable_all().build().expect("a runtime");
    let world = World::new(&runtime);
    for (_, prepare) in OPERATIONS {
        for _ in 0..RUNS {
            counted(prepare(&world));
        }
    }
}

/// Callgrind knows it by its name: it counts from here to its end, and then writes down what it counted.
#[inline(never)]
fn counted(operation: Operation<'_>) {
    operation();
}

/// The instructions of each operation.
fn count() -> Vec<(&'static str, u64)> {
    let folder = env::temp_dir().join(format!("grantor-instructions-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let out = folder.join("counted");
    let valgrind = Command::new("valgrind")
        .args(["--tool=callgrind", "--toggle-collect=instructions::counted", "--dump-after=instructions::counted"])
        .arg(format!("--callgrind-out-file={}", out.display()))
        .arg(env::current_exe().expect("this program has a path"))
        .arg(COUNTED)
        .output()
        .expect("valgrind starts");
    assert!(valgrind.status.success(), "under valgrind: {}", String::from_utf8_lossy(&valgrind.stderr));

    let runs: Vec<u64> = (1..=OPERATIONS.len() * RUNS).map(|run| total(&out.with_extension(run.to_string()))).collect();
    fs::remove_dir_all(&folder).expect("the temporary folder goes");
    let smallest = runs.chunks(RUNS).map(|runs| runs.iter().copied().min().expect("a run"));
    OPERATIONS.iter().map(|(name, _)| *name).zip(smallest).collect()
}

/// What callgrind wrote down after one run.
fn total(file: &Path) -> u64 {
    let text = fs::read_to_string(file).unwrap_or_else(|why| panic!("{}: {why}", file.display()));
    let total = text.lines().find_map(|line| line.strip_prefix("totals: ")?.trim().parse().ok());
    total.filter(|total| *total > 0).unwrap_or_else(|| panic!("{}: nothing was counted", file.display()))
}

fn written(found: &[(&str, u64)]) -> String {
    let mut text = format!(
        "# The instructions of each operation of the hot path (docs/architecture.md, \"Measuring\"). To accept new ones:\n\
         # {ACCEPT}\n\n"
    );
    for (name, figure) in found {
        writeln!(text, "\"{name}\" = {figure}").expect("a string takes everything");
    }
    text
}

/// Fails if an operation takes more than its figure and the tolerance, or has no figure.
fn compare(found: &[(&str, u64)]) -> ExitCode {
    let text = fs::read_to_string(FIGURES).expect("the figures are there");
    let mut figures: BTreeMap<String, u64> = toml::from_str(&text).expect("the figures are numbers by name");
    let (mut refused, mut cheaper) = (false, false);
    for (name, now) in found {
        let Some(figure) = figures.remove(*name) else {
            println!("{now:>10}   new     {name}");
            refused = true;
            continue;
        };
        let change = 100.0 * (*now as f64 / figure as f64 - 1.0);
        println!("{now:>10}  {change:>+5.1} %  {name}");
        refused |= change > TOLERANCE;
        cheaper |= change < -TOLERANCE;
    }
    for name in figures.keys() {
        println!("{:>10}   gone    {name}", "");
        refused = true;
    }
    if refused {
        println!("More than {TOLERANCE} % above its figure, or not the same operations. If it is worth that: {ACCEPT}");
        return ExitCode::FAILURE;
    }
    if cheaper {
        println!("More than {TOLERANCE} % below its figure. So that it stays there: {ACCEPT}");
    }
    ExitCode::SUCCESS
}
