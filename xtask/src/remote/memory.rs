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

/// One point of the chart.
struct Point {
    gigabytes: f64,
    /// `sketch`, `compare`; bytes.
    peaks: [u64; 2],
    seconds: [f64; 2],
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
    println!(
        "| size of each model | peak of sketch | seconds | peak of compare | seconds |\n|---|---|---|---|---|"
    );
    for layers in LAYERS {
        let gigabytes = header(&shape(layers)).1 as f64 / 1e9;
        if gigabytes > most {
            break;
        }
        // Printed sizes have one decimal.
        let known = earlier.iter().position(|point: &Point| (point.gigabytes - gigabytes).abs() < 0.06);
        let point = match known {
            Some(known) => earlier.swap_remove(known),
            None => measure(layers, &tool, &scratch)?,
        };
        let [sketch, compare] = point.peaks.map(|bytes| bytes as f64 / 1e6);
        let [a, b] = point.seconds;
        println!("| {:.1} GB | {sketch:.0} MB | {a:.0} | {compare:.0} MB | {b:.0} |", point.gigabytes);
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
        let &[gigabytes, sketch, a, compare, b] = numbers.as_slice() else { return None };
        Some(Point { gigabytes, peaks: [sketch, compare].map(|mb| (mb * 1e6) as u64), seconds: [a, b] })
    };
    text.lines().filter_map(row).collect()
}

/// Bytes of noise at the start of each tensor, so that there are products to keep: whole rows.
const NOISE: usize = 1 << 19;

/// Two sparse models of that many layers. The first rows of every tensor are noise, and what follows is zero, which costs the readers the same
/// memory as any other value.
fn measure(layers: u64, tool: &Path, scratch: &Path) -> Result<Point, Box<dyn Error>> {
    let shape = shape(layers);
    let (head, bytes, _) = header(&shape);
    let starts = starts(&head)?;
    for (seed, name) in (1..).zip(["candidate", "reference"]) {
        let folder = scratch.join(name);
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("config.json"), config(&shape))?;
        let file = folder.join("model.safetensors");
        fs::write(&file, &head)?;
        let mut file = fs::OpenOptions::new().write(true).open(&file)?;
        file.set_len(head.len() as u64 + bytes)?;
        let mut random = SplitMix64::new(seed);
        for (start, end) in &starts {
            let wanted = NOISE.min((end - start) as usize) / 2;
            let noise = (0..wanted).flat_map(|_| bf16::from_f64(0.02 * random.normal()).to_le_bytes());
            file.seek(SeekFrom::Start(head.len() as u64 + start))?;
            file.write_all(&noise.collect::<Vec<u8>>())?;
        }
    }
    let [candidate, reference] = ["candidate", "reference"].map(|name| scratch.join(name));
    let sketch = scratch.join("model.sketch");
    let (mut of_sketch, mut of_compare) = (Command::new(tool), Command::new(tool));
    of_sketch.arg("sketch").arg(&reference).arg("-o").arg(&sketch);
    of_compare.arg("compare").args([&candidate, &reference]).args(["--search", "never"]);
    let (a, b) = (peak(of_sketch)?, peak(of_compare)?);
    Ok(Point { gigabytes: bytes as f64 / 1e9, peaks: [a.0, b.0], seconds: [a.1, b.1] })
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
    let largest = points.iter().flat_map(|p| p.peaks).max().unwrap_or(1) as f64 / 1e6;
    let top = (largest * 1.25 / 50.0).ceil() * 50.0;
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
    for (series, (name, colour)) in [("sketch", "#0072b2"), ("compare", "#d55e00")].into_iter().enumerate() {
        let place = |p: &Point| (x(p.gigabytes), y(p.peaks[series] as f64 / 1e6));
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
        if let Some((cx, cy)) = points.last().map(place) {
            let text = format!(
                "<text x=\"{:.1}\" y=\"{:.1}\" fill=\"{colour}\" text-anchor=\"end\">{name}</text>",
                cx,
                cy - 8.0
            );
            writeln!(svg, "{text}")?;
        }
    }
    writeln!(
        svg,
        "<text x=\"{MARGIN}\" y=\"24\">peak resident memory; size of each model (logarithmic)</text>\n</svg>"
    )?;
    Ok(svg)
}
