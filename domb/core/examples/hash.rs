// SPDX-License-Identifier: Apache-2.0 OR MIT
//! How fast each bank hashes on this machine, in MB/s as `openssl speed` counts
//! them: `cargo run --release -p domb-core --example hash`.

use std::fs;
use std::hint::black_box;
use std::time::{Duration, Instant};

use domb_core::measure::{Bank, Digests, Hasher};

const PIECE: usize = 256 * 1024;
const PIECES: usize = 1024;

fn main() {
    let piece = vec![0x5a; PIECE];
    for banks in [
        &[Bank::Sha1][..],
        &[Bank::Sha256],
        &[Bank::Sha384],
        &[Bank::Sha512],
        &Bank::ALL,
    ] {
        let began = on_cpu();
        black_box(hash(banks, &piece));
        let names: Vec<&str> = banks.iter().map(|bank| bank.name()).collect();
        say(&names.join(" "), on_cpu() - began);
    }
    let [one, other] = Bank::shares(&Bank::ALL);
    let began = Instant::now();
    std::thread::scope(|scope| {
        let worker = scope.spawn(|| hash(&one, &piece));
        black_box(hash(&other, &piece));
        black_box(worker.join()).is_ok()
    });
    say("all four, two threads, elapsed", began.elapsed());
}

/// How long this thread has been on a processor, which is what `openssl speed`
/// counts (proc(5), `schedstat`).
fn on_cpu() -> Duration {
    let text = fs::read_to_string("/proc/thread-self/schedstat").expect("Linux counts");
    let first = text.split_whitespace().next();
    Duration::from_nanos(
        first
            .and_then(|text| text.parse().ok())
            .expect("nanoseconds"),
    )
}

fn hash(banks: &[Bank], piece: &[u8]) -> Digests {
    let mut hasher = Hasher::new(banks);
    (0..PIECES).for_each(|_| hasher.update(piece));
    hasher.finish()
}

fn say(what: &str, took: Duration) {
    let megabytes = (PIECE * PIECES) as f64 / 1e6;
    println!("{what:<32} {:>6.0} MB/s", megabytes / took.as_secs_f64());
}
