//! How long open + read + close of an agent's files takes, beside a plain fuser hello-world.
//!
//! `cargo bench --bench orc -- [--rounds N] [--ops N] [LABEL=FILE]...` mounts troop with a live
//! stand-in and prints one row for each of its files, and for those given, as a Markdown table. The rows take turns within a round, so that whatever else the machine
//! does falls on all of them alike: compare the ratios, not the times.

mod support;

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use support::{Fallible, Sandbox, hello, launch, wait_status};
use tempfile::TempDir;
use troop::fuse::mount::{Mountpoint, unmount_path};

/// Rounds and operations a row and round, unless said otherwise.
const ROUNDS: usize = 31;
const OPERATIONS: usize = 500;

/// How long the server of the hello-world may take to answer.
const SERVE_LIMIT: Duration = Duration::from_secs(10);

/// The agent whose files are read, and which.
const AGENT: &str = "alice";
const FILES: [&str; 3] = ["state.json", "status", "screen"];

/// The argument that makes this program the server.
const SERVE: &str = "--serve";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let done = match args.as_slice() {
        [first, path] if first == SERVE => serve(Path::new(path)),
        _ => Plan::read(&args).and_then(|plan| compare(&plan)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "orc: {error}");
            ExitCode::FAILURE
        }
    }
}

/// What to measure, and how often.
struct Plan {
    rounds: usize,
    operations: usize,
    files: Vec<Row>,
}

/// One file, by the name it has in the table.
struct Row {
    label: String,
    file: PathBuf,
}

impl Row {
    fn new(label: &str, file: impl Into<PathBuf>) -> Self {
        Self { label: label.to_owned(), file: file.into() }
    }
}

impl Plan {
    fn read(args: &[String]) -> Fallible<Self> {
        // `cargo bench` says --bench; without it this is `cargo test`, which asks only whether it still works.
        let measuring = args.iter().any(|arg| arg == "--bench");
        let (rounds, operations) = if measuring { (ROUNDS, OPERATIONS) } else { (1, 10) };
        let mut plan = Self { rounds, operations, files: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match (arg.as_str(), arg.split_once('=')) {
                ("--rounds", _) => plan.rounds = args.next().ok_or("--rounds needs a number")?.parse()?,
                ("--ops", _) => plan.operations = args.next().ok_or("--ops needs a number")?.parse()?,
                (_, Some((label, file))) => plan.files.push(Row::new(label, file)),
                // What the test runner says besides is not for us.
                _ => {}
            }
        }
        if plan.rounds == 0 || plan.operations == 0 {
            return Err("nothing to measure: --rounds and --ops must be at least 1".into());
        }
        Ok(plan)
    }
}

fn compare(plan: &Plan) -> Fallible<()> {
    let hello = Hello::start()?;
    // The first row is what the others are compared with.
    let mut rows = vec![Row::new("fuser hello-world", hello.file()), Row::new("/proc/self/stat", "/proc/self/stat")];
    let memory = TempDir::new_in("/dev/shm");
    if let Ok(memory) = &memory {
        let file = memory.path().join("plain");
        fs::write(&file, [b'h'; hello::SIZE])?;
        rows.push(Row::new("tmpfs", file));
    }
    let sandbox = Sandbox::new();
    let mount = sandbox.mount();
    launch(&sandbox, AGENT, &[])?;
    wait_status(&mount, AGENT, "ready")?;
    for name in FILES {
        let file = mount.join(format!("agents/{AGENT}/{name}"));
        rows.push(Row::new(&format!("troop `{name}`, {} bytes", fs::metadata(&file)?.len()), file));
    }
    rows.extend(plan.files.iter().map(|row| Row::new(&row.label, &row.file)));

    let times = measure(&rows, plan)?;
    io::stdout().write_all(table(&rows, &times, plan).as_bytes())?;
    Ok(())
}

/// For each row the time of one operation in each round, in microseconds, in rising order.
fn measure(rows: &[Row], plan: &Plan) -> Fallible<Vec<Vec<f64>>> {
    let mut times = vec![Vec::with_capacity(plan.rounds); rows.len()];
    for row in rows {
        open_read_close(&row.file).map_err(|e| format!("{}: {e}", row.file.display()))?;
    }
    for _ in 0..plan.rounds {
        for (row, times) in rows.iter().zip(&mut times) {
            let start = Instant::now();
            for _ in 0..plan.operations {
                open_read_close(&row.file)?;
            }
            times.push(start.elapsed().as_secs_f64() * 1e6 / plan.operations as f64);
        }
    }
    times.iter_mut().for_each(|times| times.sort_by(f64::total_cmp));
    Ok(times)
}

/// One read, of more than is there: three system calls, as `cat` without its question for the end.
fn open_read_close(file: &Path) -> io::Result<()> {
    let mut buffer = [0_u8; 2 * hello::SIZE];
    match File::open(file)?.read(&mut buffer)? {
        0 => Err(io::ErrorKind::UnexpectedEof.into()),
        _ => Ok(()),
    }
}

fn table(rows: &[Row], times: &[Vec<f64>], plan: &Plan) -> String {
    let median = |times: &[f64]| times[times.len() / 2];
    let base = median(&times[0]);
    let lines = rows.iter().zip(times).map(|(row, times)| {
        let (median, least) = (median(times), times[0]);
        format!("| {} | {median:.1} | {least:.1} | {:.2} |\n", row.label, median / base)
    });
    format!(
        "open + read + close, {} interleaved rounds of {} each\n\n\
         | file | median µs | least µs | median / hello-world |\n|---|---:|---:|---:|\n{}",
        plan.rounds,
        plan.operations,
        lines.collect::<String>()
    )
}

/// The hello-world, served by another process as a real one is.
struct Hello {
    dir: TempDir,
    server: Child,
}

impl Hello {
    fn start() -> Fallible<Self> {
        let dir = TempDir::new()?;
        let server = Command::new("/proc/self/exe").arg(SERVE).arg(dir.path()).stdin(Stdio::null()).spawn()?;
        let mut hello = Self { dir, server };
        let deadline = Instant::now() + SERVE_LIMIT;
        while !hello.file().exists() {
            if let Some(status) = hello.server.try_wait()? {
                return Err(format!("the hello-world could not be served ({status})").into());
            }
            if Instant::now() > deadline {
                return Err(format!("the hello-world did not answer within {SERVE_LIMIT:?}").into());
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        Ok(hello)
    }

    fn file(&self) -> PathBuf {
        self.dir.path().join(hello::NAME)
    }
}

impl Drop for Hello {
    fn drop(&mut self) {
        let _ = unmount_path(self.dir.path());
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

fn serve(path: &Path) -> Fallible<()> {
    let (_mounted, connection) = Mountpoint::prepare(path, false)?.mount()?;
    Ok(hello::serve(connection)?)
}
