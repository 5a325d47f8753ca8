//! What MPI_THREAD_MULTIPLE itself costs over MPI_THREAD_SINGLE: messages between two ranks, without dlcast.
//!
//! `levels single FILE` and `levels multiple FILE`, under mpirun by turns, add a line each; `levels FILE` prints the ratios.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::process::ExitCode;

use benches_mpi::job::Job;
use benches_mpi::pingpong::PingPong;
use benches_mpi::statistics::{median, ratios, spread};
use mpi::Threading;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    match words.iter().map(String::as_str).collect::<Vec<&str>>()[..] {
        [file] => print(file),
        ["single", file] => measure(Threading::Single, "single", file),
        ["multiple", file] => measure(Threading::Multiple, "multiple", file),
        _ => {
            eprintln!("levels: expected [single | multiple] FILE");
            return ExitCode::from(2);
        }
    }
    ExitCode::SUCCESS
}

fn measure(level: Threading, name: &str, file: &str) {
    let job = Job::start_with(level);
    let mut players = PingPong::new(&job);
    let turns: Vec<_> = (0..5).map(|_| players.play(&job)).collect();
    if job.rank == 0 {
        let latency = median(&turns.iter().map(|speed| speed.latency).collect::<Vec<f64>>());
        let bandwidth = median(&turns.iter().map(|speed| speed.bandwidth).collect::<Vec<f64>>());
        let mut lines = OpenOptions::new().create(true).append(true).open(file).expect("the folder is writable");
        writeln!(lines, "{name} {latency} {bandwidth}").expect("the folder is writable");
    }
}

fn print(file: &str) {
    let lines = fs::read_to_string(file).expect("the jobs have written it");
    let of = |name: &str, column: usize| -> Vec<f64> {
        let rows = lines.lines().map(|line| line.split(' ').collect::<Vec<&str>>());
        rows.filter(|row| row[0] == name).filter_map(|row| row[column].parse().ok()).collect()
    };
    println!();
    println!("The same without dlcast, MPI_THREAD_MULTIPLE over MPI_THREAD_SINGLE: jobs of their own by turns.");
    println!();
    println!("                  multiple   single  ratio");
    for (column, what) in [(1, "8 bytes, ns"), (2, "4 MiB, GB/s")] {
        let [multiple, single] = [of("multiple", column), of("single", column)];
        println!("{what:18}{:8.1} {:8.1}  {}", median(&multiple), median(&single), spread(&ratios(&multiple, &single)));
    }
}
