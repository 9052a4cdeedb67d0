//! Peak memory of `sketch` and `compare` against the size of the models, in one chart.

use super::synthetic::{Shape, config, header};
use crate::Failure;
use half::bf16;
use std::error::Error;
use std::fmt::Write as _;
use std::fs;
use std::io::{Seek, SeekFrom, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;
use stemmata_stats::SplitMix64;

/// Layers of the models; one layer of the shape below is 0.436 GB.
const LAYERS: [u64; 7] = [2, 4, 9, 18, 36, 73, 146];

/// What is run, with the colour of its line.
const SERIES: [(&str, &str); 3] =
    [("sketch", "#0072b2"), ("compare, dependent pair", "#009e73"), ("compare, independent pair", "#d55e00")];

/// One size.
struct Point {
    gigabytes: f64,
    layers: u64,
    /// Of each series: bytes and seconds.
    runs: [(u64, f64); 3],
}

/// `--tool PATH` is a release build of the command line, `--scratch DIR` takes the sparse files, `--out FILE` the chart. `--most GB` ends earlier;
/// `--resume FILE` takes what an earlier run printed in place of measuring it again.
pub(crate) fn run(options: &[String]) -> Result<(), Failure> {
    let mut tool = PathBuf::from("target/release/stemmata");
    let mut scratch = std::env::temp_dir().join("stemmata-memory");
    let mut out = PathBuf::from("docs/memory.svg");
    let (mut earlier, mut most) = (Vec::new(), f64::INFINITY);
    for pair in options.chunks(2) {
        match pair {
            [flag, path] if flag == "--tool" => tool = path.into(),
            [flag, path] if flag == "--scratch" => scratch = path.into(),
            [flag, path] if flag == "--out" => out = path.into(),
            [flag, path] if flag == "--resume" => earlier = printed(&fs::read_to_string(path)?),
            [flag, number] if flag == "--most" => most = number.parse()?,
            _ => {
                return Err(Failure::Usage(
                    "`memory` takes --tool, --scratch, --out, --resume, --most".to_owned(),
                ));
            }
        }
    }
    let mut points = Vec::new();
    let names = SERIES.map(|(name, _)| format!(" peak of {name} | seconds |"));
    println!("| size of each model | layers |{}\n|---|---|---|---|---|---|---|---|", names.concat());
    for layers in LAYERS {
        let gigabytes = header(&shape(layers)).1 as f64 / 1e9;
        if gigabytes > most {
            break;
        }
        let known = earlier.iter().position(|point: &Point| point.layers == layers);
        let point = match known {
            Some(known) => earlier.swap_remove(known),
            None => measure(layers, &tool, &scratch)?,
        };
        let runs =
            point.runs.map(|(bytes, seconds)| format!(" {:.0} MB | {seconds:.0} |", bytes as f64 / 1e6));
        println!("| {:.1} GB | {layers} |{}", point.gigabytes, runs.concat());
        points.push(point);
        // After each point, so that a run that is ended early leaves what it has.
        fs::write(&out, chart(&points)?)?;
    }
    if scratch.exists() {
        fs::remove_dir_all(&scratch)?;
    }
    Ok(())
}

fn shape(layers: u64) -> Shape {
    Shape { layers, residual: 4096, hidden: 14_336, kv: 1024, vocabulary: 8192 }
}

/// The points of a table that this command printed.
fn printed(text: &str) -> Vec<Point> {
    let row = |line: &str| {
        let cells = line.trim().trim_matches('|').split('|');
        let numbers = cells.map(|cell| cell.split_whitespace().next()?.parse::<f64>().ok());
        let numbers: Vec<f64> = numbers.collect::<Option<_>>()?;
        let &[gigabytes, layers, a, b, c, d, e, f] = numbers.as_slice() else { return None };
        let runs = [(a, b), (c, d), (e, f)].map(|(mb, seconds)| ((mb * 1e6) as u64, seconds));
        Some(Point { gigabytes, layers: layers as u64, runs })
    };
    text.lines().filter_map(row).collect()
}

/// Bytes of noise at the start of each tensor, so that there are products to keep: whole rows.
const NOISE: usize = 1 << 19;

/// Noise of the child on top of the weights of its parent, as a share of them.
const CHANGE: f64 = 0.05;

/// Three sparse models of that many layers: one, its child, and one that is independent of both. The first rows of every tensor are noise, and what
/// follows is zero, which costs the readers the same memory as any other value.
fn measure(layers: u64, tool: &Path, scratch: &Path) -> Result<Point, Box<dyn Error>> {
    let shape = shape(layers);
    let (head, bytes, _) = header(&shape);
    let starts = starts(&head)?;
    for (seed, change, name) in [(1, 0.0, "parent"), (1, CHANGE, "child"), (2, 0.0, "other")] {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.json"), config(&shape))?;
        let file = folder.join("model.safetensors");
        fs::write(&file, &head)?;
        let mut file = fs::OpenOptions::new().write(true).open(&file)?;
        file.set_len(head.len() as u64 + bytes)?;
        let (mut random, mut of_change) = (SplitMix64::new(seed), SplitMix64::new(seed + 100));
        for (start, end) in &starts {
            let wanted = NOISE.min((end - start) as usize) / 2;
            let mut value = || 0.02 * (random.normal() + change * of_change.normal());
            let noise = (0..wanted).flat_map(|_| bf16::from_f64(value()).to_le_bytes());
            file.seek(SeekFrom::Start(head.len() as u64 + start))?;
            file.write_all(&noise.collect::<Vec<u8>>())?;
        }
    }
    let [parent, child, other] = ["parent", "child", "other"].map(|name| scratch.join(name));
    let sketch = scratch.join("model.sketch");
    let mut of_sketch = Command::new(tool);
    of_sketch.arg("sketch").arg("--no-cache").arg(&parent).arg("-o").arg(&sketch);
    let beside = |candidate: &PathBuf| {
        let mut command = Command::new(tool);
        command.arg("compare").args([candidate, &parent]).args(["--search", "never"]);
        command
    };
    let runs = [peak(of_sketch)?, peak(beside(&child))?, peak(beside(&other))?];
    Ok(Point { gigabytes: bytes as f64 / 1e9, layers, runs })
}

/// Where each tensor begins and ends behind the header.
fn starts(head: &[u8]) -> Result<Vec<(u64, u64)>, Box<dyn Error>> {
    let header: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&head[8..])?;
    let offsets = header.values().map(|entry| {
        let at = |i: usize| entry["data_offsets"][i].as_u64();
        at(0).zip(at(1)).ok_or_else(|| "a tensor has no place".into())
    });
    offsets.collect()
}

/// Runs a command to its end; its peak resident memory, as the system counts it, and its time.
fn peak(mut command: Command) -> Result<(u64, f64), Box<dyn Error>> {
    let started = std::time::Instant::now();
    let mut child = command.arg("-qq").stdin(std::process::Stdio::null()).spawn()?;
    let status = format!("/proc/{}/status", child.id());
    let mut most = 0;
    loop {
        // The high-water mark only rises, so the last look before the end is the one that counts.
        let text = fs::read_to_string(&status).unwrap_or_default();
        let line = text.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let kilobytes = line.and_then(|rest| rest.trim().strip_suffix("kB")?.trim().parse::<u64>().ok());
        most = most.max(kilobytes.unwrap_or(0) * 1024);
        if let Some(code) = child.try_wait()? {
            // Zeros show nothing, which is inconclusive and no failure.
            return match code.code() {
                Some(0 | 3) => Ok((most, started.elapsed().as_secs_f64())),
                _ => Err(format!("the command ended with {code}").into()),
            };
        }
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
}

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 320.0;
const MARGIN: f64 = 56.0;

/// Size on a logarithmic axis, memory on a linear one that starts at zero.
fn chart(points: &[Point]) -> Result<String, Box<dyn Error>> {
    let largest = points.iter().flat_map(|p| p.runs).map(|run| run.0).max().unwrap_or(1) as f64 / 1e6;
    // Four even steps, and no smaller range: what does not grow should not look as if it did.
    let top = (largest * 1.25 / 40.0).ceil() * 40.0;
    let x = |gigabytes: f64| MARGIN + (gigabytes.log2() + 0.5) / 7.0 * (WIDTH - 2.0 * MARGIN);
    let y = |megabytes: f64| HEIGHT - MARGIN - megabytes / top * (HEIGHT - 2.0 * MARGIN);
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <title>Peak memory of sketch and compare against the size of each model</title>\n\
         <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
    );
    for step in 0..=4 {
        let megabytes = top * f64::from(step) / 4.0;
        let (left, right, at) = (MARGIN, WIDTH - MARGIN, y(megabytes));
        writeln!(svg, "<line x1=\"{left}\" y1=\"{at:.1}\" x2=\"{right}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>")?;
        writeln!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{megabytes:.0} MB</text>",
            left - 6.0,
            at + 4.0
        )?;
    }
    for size in [1, 2, 4, 8, 16, 32, 64] {
        let (at, below) = (x(f64::from(size)), HEIGHT - MARGIN + 18.0);
        writeln!(svg, "<text x=\"{at:.1}\" y=\"{below:.1}\" text-anchor=\"middle\">{size} GB</text>")?;
    }
    let mut labels: Vec<(f64, f64, usize)> = Vec::new();
    for (series, (_, colour)) in SERIES.into_iter().enumerate() {
        let place = |p: &Point| (x(p.gigabytes), y(p.runs[series].0 as f64 / 1e6));
        let line: Vec<String> =
            points.iter().map(|p| format!("{:.1},{:.1}", place(p).0, place(p).1)).collect();
        writeln!(
            svg,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            line.join(" ")
        )?;
        for (cx, cy) in points.iter().map(place) {
            writeln!(svg, "<circle cx=\"{cx:.1}\" cy=\"{cy:.1}\" r=\"3\" fill=\"{colour}\"/>")?;
        }
        labels.extend(points.last().map(place).map(|(cx, cy)| (cy, cx, series)));
    }
    // The lowest line is named below it, the others above it, each clear of the one before.
    labels.sort_by(|a, b| b.0.total_cmp(&a.0));
    let mut before = HEIGHT;
    for (index, (cy, cx, series)) in labels.into_iter().enumerate() {
        let (name, colour) = SERIES[series];
        let at = if index == 0 { cy + 16.0 } else { (cy - 8.0).min(before - 14.0) };
        writeln!(
            svg,
            "<text x=\"{cx:.1}\" y=\"{at:.1}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>"
        )?;
        // The line itself lies between the first name and the second.
        before = if index == 0 { cy + 6.0 } else { at };
    }
    writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"24\">peak resident memory; size of each model (logarithmic)</text>\n</svg>"
    )?;
    Ok(svg)
}
