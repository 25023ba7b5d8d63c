//! Outcomes as one HTML page: tables, and charts as inline SVG. Nothing is loaded from elsewhere and nothing is a script.

use std::fmt::{self, Write as _};

use crate::outcome::{Latency, Outcome, Probe, number};

const WIDTH: f64 = 640.0;
const HEIGHT: f64 = 240.0;
const LEFT: f64 = 70.0;
const BOTTOM: f64 = 30.0;
const COLOURS: [&str; 6] = ["#1f6feb", "#d1242f", "#1a7f37", "#9a6700", "#8250df", "#57606a"];

const STYLE: &str = "body{font:15px/1.5 system-ui,sans-serif;max-width:60rem;margin:2rem auto;padding:0 1rem;color:#1f2328}\
table{border-collapse:collapse;margin:1rem 0}td,th{padding:.2rem .8rem;border-bottom:1px solid #d1d9e0;text-align:left}\
td.n{text-align:right;font-variant-numeric:tabular-nums}.bad{background:#ffebe9;padding:.5rem 1rem}\
.grey{color:#59636e}svg{max-width:100%;height:auto}";

/// The page.
pub fn page(outcomes: &[Outcome]) -> String {
    let mut out = String::new();
    write_page(&mut out, outcomes).expect("writing to a string cannot fail");
    out
}

fn write_page(out: &mut String, outcomes: &[Outcome]) -> fmt::Result {
    write!(out, "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>Sparrow benchmarks</title>")?;
    write!(out, "<style>{STYLE}</style></head><body><h1>Sparrow benchmarks</h1>")?;
    for outcome in outcomes {
        write_outcome(out, outcome)?;
    }
    write_comparison(out, outcomes)?;
    writeln!(out, "</body></html>")
}

fn write_outcome(out: &mut String, outcome: &Outcome) -> fmt::Result {
    write!(out, "<h2>{}</h2>", escaped(&outcome.workload))?;
    for violation in &outcome.violations {
        write!(out, "<p class=\"bad\"><b>Violation:</b> {}</p>", escaped(violation))?;
    }
    if let Some(reason) = &outcome.discarded {
        write!(out, "<p class=\"bad\"><b>Discarded:</b> {}</p>", escaped(reason))?;
    }
    let settings: Vec<String> = outcome.settings.iter().map(|(name, value)| format!("{name} {value}")).collect();
    write!(
        out,
        "<p class=\"grey\">sparrow {}, profile {}; {}; {}</p><table>",
        escaped(&outcome.version),
        escaped(&outcome.profile),
        escaped(&outcome.machine),
        escaped(&settings.join(", "))
    )?;
    for figure in &outcome.figures {
        let (name, value, unit) = (escaped(&figure.name), number(figure.value), escaped(&figure.unit));
        write!(out, "<tr><td>{name}</td><td class=\"n\">{value}</td><td>{unit}</td></tr>")?;
    }
    write!(out, "</table>")?;
    if !outcome.latencies.is_empty() {
        write_latencies(out, &outcome.latencies)?;
    }
    if !outcome.probes.is_empty() {
        write_probes(out, &outcome.probes)?;
    }
    for note in &outcome.notes {
        write!(out, "<p>{}</p>", escaped(note))?;
    }
    Ok(())
}

fn write_latencies(out: &mut String, latencies: &[Latency]) -> fmt::Result {
    write!(out, "<table><tr><th>time, in ms</th><th>p50</th><th>p90</th><th>p99</th><th>p99.9</th><th>max</th></tr>")?;
    for latency in latencies {
        write!(out, "<tr><td>{}</td>", escaped(&latency.name))?;
        for quantile in [0.5, 0.9, 0.99, 0.999, 1.0] {
            write!(out, "<td class=\"n\">{}</td>", number(latency.at(quantile)))?;
        }
        write!(out, "</tr>")?;
    }
    write!(out, "</table>")?;
    // One step to the right is ten times fewer messages.
    let place = |quantile: f64| -(1.0 - quantile).max(1e-5).log10();
    let series: Vec<Series<'_>> = latencies
        .iter()
        .map(|latency| Series {
            name: &latency.name,
            points: latency.curve.iter().map(|(quantile, ms)| (place(*quantile), *ms)).collect(),
        })
        .collect();
    let ticks = [(0.0, "0"), (1.0, "90 %"), (2.0, "99 %"), (3.0, "99.9 %"), (4.0, "99.99 %"), (5.0, "max")];
    let ticks = ticks.map(|(at, text)| (at, text.to_owned()));
    write_chart(out, "milliseconds within which a share of the messages stayed", &series, &ticks)
}

fn write_probes(out: &mut String, probes: &[Probe]) -> fmt::Result {
    let mut probes: Vec<&Probe> = probes.iter().filter(|probe| !probe.discarded).collect();
    probes.sort_unstable_by(|one, other| one.rate.total_cmp(&other.rate));
    let points: Vec<(f64, f64)> = probes.iter().map(|probe| (probe.rate, probe.p99_ms)).collect();
    let ticks: Vec<(f64, String)> = points.iter().map(|(rate, _)| (*rate, number(*rate))).collect();
    write_chart(out, "p99 in milliseconds by sends per second", &[Series { name: "p99", points }], &ticks)
}

/// Bars of the first figure with the same name and unit in several outcomes of one workload.
fn write_comparison(out: &mut String, outcomes: &[Outcome]) -> fmt::Result {
    for name in ["acked", "delivered", "processor time of the node per send", "efficiency (floor / actual)"] {
        let value =
            |outcome: &Outcome| outcome.figures.iter().find(|figure| figure.name == name).map(|found| found.value);
        let rows: Vec<(&Outcome, f64)> =
            outcomes.iter().filter_map(|outcome| Some((outcome, value(outcome)?))).collect();
        let most = rows.iter().map(|(_, value)| *value).fold(0.0, f64::max);
        if rows.len() < 2 || most <= 0.0 {
            continue;
        }
        let height = rows.len() * 24;
        write!(out, "<h3>{}</h3><svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\">", escaped(name))?;
        for (at, (outcome, value)) in rows.iter().enumerate() {
            let (y, wide) = (at * 24, value / most * (WIDTH - 330.0));
            let colour = COLOURS[at % COLOURS.len()];
            write!(out, "<text x=\"0\" y=\"{}\" font-size=\"13\">", y + 16)?;
            let setting = |name: &str| outcome.settings.get(name).map_or("", String::as_str);
            let label = format!("{} at {}, {} conn.", outcome.workload, setting("rate"), setting("connections"));
            write!(out, "{}</text><rect x=\"230\" y=\"{}\" width=\"{wide:.1}\" ", escaped(&label), y + 4)?;
            write!(out, "height=\"16\" fill=\"{colour}\"/><text x=\"{:.1}\" y=\"{}\" ", 236.0 + wide, y + 16)?;
            write!(out, "font-size=\"13\">{}</text>", number(*value))?;
        }
        write!(out, "</svg>")?;
    }
    Ok(())
}

struct Series<'a> {
    name: &'a str,
    points: Vec<(f64, f64)>,
}

/// Lines over a logarithmic vertical axis, because latencies differ by orders of magnitude.
fn write_chart(out: &mut String, title: &str, series: &[Series<'_>], ticks: &[(f64, String)]) -> fmt::Result {
    let points = || series.iter().flat_map(|series| &series.points);
    let high = points().map(|(_, y)| y.max(0.01).log10()).fold(-1.0, f64::max).ceil();
    let low = points().map(|(_, y)| y.max(0.01).log10()).fold(high, f64::min).floor().min(high - 1.0);
    let from = points().map(|(x, _)| *x).fold(f64::INFINITY, f64::min);
    let to = points().map(|(x, _)| *x).fold(f64::NEG_INFINITY, f64::max).max(from + 1e-9);
    let across = |x: f64| LEFT + (x - from) / (to - from) * (WIDTH - LEFT - 30.0);
    let up = |y: f64| (HEIGHT - BOTTOM) * (1.0 - (y.max(0.01).log10() - low) / (high - low)) + 5.0;
    let total = HEIGHT + 20.0 + 18.0 * series.len() as f64;
    write!(
        out,
        "<svg viewBox=\"0 0 {WIDTH} {total}\" role=\"img\" font-size=\"12\"><title>{}</title>",
        escaped(title)
    )?;
    let mut power = low;
    while power <= high {
        let y = up(10_f64.powf(power));
        write!(out, "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#d1d9e0\"/>")?;
        let label = number(10_f64.powf(power));
        write!(out, "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{label}</text>", LEFT - 6.0, y + 4.0)?;
        power += 1.0;
    }
    for (at, text) in ticks {
        let (x, y) = (across(*at), HEIGHT - 8.0);
        write!(out, "<text x=\"{x:.1}\" y=\"{y}\" text-anchor=\"middle\">{}</text>", escaped(text))?;
    }
    for (at, series) in series.iter().enumerate() {
        let colour = COLOURS[at % COLOURS.len()];
        let line: Vec<String> = series.points.iter().map(|(x, y)| format!("{:.1},{:.1}", across(*x), up(*y))).collect();
        write!(out, "<polyline fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" points=\"{}\"/>", line.join(" "))?;
        let y = HEIGHT + 18.0 * (at as f64 + 1.0);
        write!(out, "<text x=\"{LEFT}\" y=\"{y}\" fill=\"{colour}\">{}</text>", escaped(series.name))?;
    }
    write!(out, "</svg><p class=\"grey\">{}</p>", escaped(title))
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::record::{histogram, note};

    #[test]
    fn a_page_shows_violations_figures_and_charts_and_trusts_no_text() {
        let mut outcome = Outcome::of("direct");
        outcome.violations.push("<script>".to_owned());
        outcome.figure("acked", 12_345.0, "sends/s");
        let mut times = histogram();
        (1..=1_000).for_each(|ms| note(&mut times, ms * 100));
        outcome.latency("due to acked", &times);
        outcome.probes = vec![Probe { rate: 10.0, p99_ms: 1.0, held: true, discarded: false }];
        let page = page(&[outcome.clone(), outcome]);
        assert!(page.contains("12,345") && page.matches("<polyline").count() == 4, "{page}");
        assert!(page.contains("&lt;script&gt;") && !page.contains("<script>"));
        assert!(!page.contains("NaN"), "{page}");
    }
}
