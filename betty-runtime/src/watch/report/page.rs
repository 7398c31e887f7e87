//! A record as one page that needs nothing else.

use std::fmt::Write as _;

use super::chart::{Chart, Scale};
use super::diagram::{levels, turns};
use super::record::{LevelRecord, Record};
use super::text::escaped;
use crate::json;

/// Charts of norms, of solves for hypergradients, and of a level's own solver.
const NORMS: &str = "norms of the gradient";
const PRODUCTS: &str = "products of the solves";
const RESIDUALS: &str = "residuals of the solves";
const ITERATIONS: &str = "iterations of the solver";

const STYLE: &str = include_str!("style.css");
const OPENING: &str = r#"<script type="application/json" id="record">"#;
const CLOSING: &str = "</script>";

/// The page; while the run goes on, one that a browser loads again every few seconds.
pub(super) fn page(record: &Record) -> String {
    let refresh = if record.ended.is_none() { r#"<meta http-equiv="refresh" content="5">"# } else { "" };
    let title = escaped(&record.program);
    let mut html = format!(
        r#"<!doctype html><html lang="en"><head><meta charset="utf-8">{refresh}<title>{title}: run report</title><style>{STYLE}</style></head><body>"#
    );
    head(&mut html, record);
    warnings(&mut html, record);
    numbers(&mut html, record);
    let validation =
        charts(record, "validation", |name| if name == "value" { "value".into() } else { "metrics".into() });
    section(&mut html, "Validation", &validation);
    record.levels.iter().for_each(|level| level_section(&mut html, record, level));
    shares(&mut html, record);
    section(&mut html, "Memory by step", &record.asked.memory());
    section(&mut html, "Hypergradients that were checked", &record.asked.checks());
    let picture = format!(
        r#"{}<p class="quiet">A line downwards: the level below reads the one above. A dashed line upwards: the level above reads the best response below.</p><p>Steps of one iteration, in their order:</p>{}<pre>{}</pre>"#,
        levels(&record.levels),
        turns(record),
        escaped(&record.schedule)
    );
    section(&mut html, "Levels and schedule", &picture);
    section(&mut html, "Config", &format!("<pre>{}</pre>", escaped(&record.config)));
    let data = serde_json::to_string(record).unwrap_or_default().replace("</", "<\\/");
    html + OPENING + &data + CLOSING + "</body></html>\n"
}

/// The record in a page.
pub(super) fn record_in(page: &str) -> Option<Record> {
    let (_, rest) = page.split_once(OPENING)?;
    // Numbers as they were written, so that a run that goes on from here goes on from the same curves.
    serde_json::from_value(json::parse(rest.split_once(CLOSING)?.0.as_bytes()).ok()?).ok()
}

fn section(html: &mut String, title: &str, content: &str) {
    if !content.is_empty() {
        let _ = write!(html, "<h2>{}</h2>{content}", escaped(title));
    }
}

fn head(html: &mut String, record: &Record) {
    let (class, state) = match record.ended.as_deref() {
        None => ("running", "running".to_owned()),
        Some("") => ("over", "complete".to_owned()),
        Some(reason) => ("broken", format!("ended: {}", escaped(reason))),
    };
    let Record { iteration, until, elapsed, seed, betty, burn, build, .. } = record;
    let _ = write!(
        html,
        r#"<h1>{}</h1><p><span class="state {class}">{state}</span> iteration <b>{iteration}</b> of {until}, {elapsed:.1} s</p><table><tr><th>seed</th><td>{seed}</td></tr><tr><th>betty</th><td>{betty}, {build} build</td></tr><tr><th>Burn</th><td>{burn}</td></tr><tr><th>machine</th><td>{}</td></tr><tr><th>began</th><td><time>{}</time> UTC</td></tr></table>"#,
        escaped(&record.program),
        escaped(&record.machine),
        utc(record.began),
    );
}

fn warnings(html: &mut String, record: &Record) {
    if record.warnings.is_empty() {
        section(html, "Warnings", "<p>None.</p>");
        return;
    }
    let mut table = String::from("<table><tr><th>iteration</th><th>what</th><th>what to do</th></tr>");
    for warning in &record.warnings {
        let _ = write!(
            table,
            r#"<tr class="warning"><td>{} <span class="quiet">{}</span></td><td>{}</td><td>{}</td></tr>"#,
            warning.iteration,
            escaped(&warning.rule),
            escaped(&warning.fact),
            escaped(&warning.advice)
        );
    }
    table.push_str("</table>");
    if record.more_warnings > 0 {
        let _ = write!(table, "<p>… and {} more.</p>", record.more_warnings);
    }
    section(html, "Warnings", &table);
}

/// The last value of every curve of a level's loss and metrics, and of validation.
fn numbers(html: &mut String, record: &Record) {
    let mut table = String::from("<table>");
    for (tag, series) in &record.series {
        let Some((of, name)) = tag.split_once('/') else { continue };
        if let Some(last) =
            series.last().filter(|_| of != "run" && (kind(record, of, name).is_none() || name == "loss"))
        {
            let (of, name) = (escaped(of), escaped(name));
            let _ = write!(table, r#"<tr><th>{of}</th><td>{name}</td><td class="number">{last:.6}</td></tr>"#);
        }
    }
    section(html, "Last values", &(table + "</table>"));
}

/// Which chart of a level a quantity belongs to; none for metrics.
fn kind(record: &Record, of: &str, name: &str) -> Option<String> {
    let through = || name.rsplit_once('/').filter(|(level, _)| record.levels.iter().any(|known| known.name == *level));
    let of_solver = record.solvers.get(of).and_then(|solver| name.strip_prefix(solver.as_str())?.strip_prefix('/'));
    match of_solver {
        Some("iterations") => return Some(ITERATIONS.into()),
        Some("gradient_norm") => return Some(NORMS.into()),
        _ => {}
    }
    match name {
        _ if of == "validation" => None,
        "loss" | "angle" => Some(name.into()),
        "learning_rate" => Some("learning rate".into()),
        "gradient_norm" | "direct" | "indirect" => Some(NORMS.into()),
        _ => match through()?.1 {
            "products" => Some(PRODUCTS.into()),
            "residual" => Some(RESIDUALS.into()),
            _ => None,
        },
    }
}

fn level_section(html: &mut String, record: &Record, level: &LevelRecord) {
    let content =
        charts(record, &level.name, |name| kind(record, &level.name, name).unwrap_or_else(|| "metrics".into()));
    section(html, &format!("Level {}", level.name), &content);
}

/// The charts of a level, or of what else has curves, each quantity in the chart that `kind` says.
fn charts(record: &Record, of: &str, kind: impl Fn(&str) -> String) -> String {
    let mut charts: Vec<Chart<'_>> = Vec::new();
    let prefix = format!("{of}/");
    for (tag, series) in record.series.range(prefix.clone()..) {
        let Some(name) = tag.strip_prefix(&prefix) else { break };
        let title = kind(name);
        let curve = (curve_name(&title, name), &series.points[..]);
        match charts.iter_mut().find(|chart| chart.title == title) {
            Some(chart) => chart.curves.push(curve),
            None => {
                let scale = match title.as_str() {
                    "loss" | "metrics" | "angle" | "value" | PRODUCTS | ITERATIONS | "memory in MiB" => Scale::Linear,
                    _ => Scale::Logarithmic,
                };
                charts.push(Chart { title, scale, curves: vec![curve] });
            }
        }
    }
    charts.iter_mut().filter(|chart| chart.title == "angle").for_each(|chart| {
        chart.title = "angle between direct and indirect gradient, in degrees".into();
    });
    for chart in &mut charts {
        // One that is alone has no legend.
        if let ("metrics", [(name, _)]) = (chart.title.as_str(), &chart.curves[..]) {
            chart.title = name.clone();
        }
    }
    charts.sort_by_key(|chart| chart.title != "loss");
    let drawn: Vec<String> = charts.iter().filter_map(Chart::to_svg).collect();
    if drawn.is_empty() { String::new() } else { format!(r#"<div class="charts">{}</div>"#, drawn.concat()) }
}

/// What a quantity is called in the chart with this title.
fn curve_name(title: &str, name: &str) -> String {
    let of = name.rsplit_once('/').map(|(of, _)| of);
    match (title, of) {
        (NORMS, None) if name == "gradient_norm" => "total".into(),
        // Where the solver has ended, beside where its turn began.
        (NORMS, Some(solver)) => format!("after {solver}"),
        (PRODUCTS | RESIDUALS | ITERATIONS, Some(of)) => of.into(),
        _ => name.into(),
    }
}

fn shares(html: &mut String, record: &Record) {
    let total: f64 = record.shares.values().sum();
    let mut all: Vec<_> = record.shares.iter().collect();
    all.sort_by(|one, other| other.1.total_cmp(one.1));
    let mut table = String::from("<table>");
    for (name, seconds) in all.into_iter().filter(|(_, seconds)| **seconds > 0.0005 * total) {
        let share = seconds / total;
        let _ = write!(
            table,
            r#"<tr><td>{}</td><td class="number">{seconds:.2} s</td><td class="number">{:.1} %</td><td><span class="bar" style="width:{:.0}px"></span></td></tr>"#,
            escaped(name),
            100.0 * share,
            300.0 * share
        );
    }
    table.push_str("</table>");
    let curves = charts(record, "run", |name| name.replace('_', " "));
    section(html, "Time and memory", &(table + &curves));
}

/// A time in seconds since 1970 as `2026-11-29 12:30:00`.
fn utc(seconds: f64) -> String {
    let seconds = seconds as i64;
    let (days, of_day) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // Hinnant's algorithm: years that begin in March, in eras of 400 of them.
    let shifted = days + 719_468;
    let (era, of_era) = (shifted.div_euclid(146_097), shifted.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let month = (5 * of_year + 2) / 153;
    let day = of_year - (153 * month + 2) / 5 + 1;
    let (month, year) = if month < 10 { (month + 3, year) } else { (month - 9, year + 1) };
    let (hour, minute, second) = (of_day / 3600, of_day / 60 % 60, of_day % 60);
    format!("{:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02}", year + 400 * era)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_holds_its_record() {
        let mut record =
            Record { program: "A</script><b>".into(), ended: Some("</script>".into()), ..Record::default() };
        for tag in ["x/loss", "x/y/residual", "validation/value", "x/odd & even"] {
            (1..5).for_each(|iteration| record.push(tag.into(), iteration, 0.1 + iteration as f64 / 3.0));
        }
        record.shares.insert("step of x".into(), 2.0);
        let html = page(&record);
        assert_eq!(record_in(&html).as_ref(), Some(&record));
        assert_eq!(html.matches("</script>").count(), 1);
        assert!(!html.contains("http-equiv"), "it is over");
        record.ended = None;
        assert!(page(&record).contains("http-equiv"));
        assert_eq!(record_in("<p>something else</p>"), None);
    }

    #[test]
    fn what_a_solver_tells_is_charted_as_what_it_is() {
        let level = |name: &str| LevelRecord { name: name.into(), ..LevelRecord::default() };
        let mut record = Record { levels: vec![level("x"), level("y")], ..Record::default() };
        record.solvers.insert("x".into(), "lbfgs".into());
        let kind_of = |name: &str| kind(&record, "x", name);
        assert_eq!(kind_of("lbfgs/iterations").as_deref(), Some(ITERATIONS));
        assert_eq!(kind_of("lbfgs/gradient_norm").as_deref(), Some(NORMS));
        assert_eq!(kind_of("y/products").as_deref(), Some(PRODUCTS));
        // Metrics of the user's own, which may be called so, too.
        assert_eq!(
            [kind_of("mine/iterations"), kind_of("mine"), kind(&record, "y", "lbfgs/iterations")],
            [None, None, None]
        );
        let names = [
            (NORMS, "gradient_norm"),
            (NORMS, "direct"),
            (NORMS, "lbfgs/gradient_norm"),
            ("metrics", "mine/iterations"),
        ];
        let called = names.map(|(title, name)| curve_name(title, name));
        assert_eq!(called, ["total", "direct", "after lbfgs", "mine/iterations"]);
    }

    #[test]
    fn times_are_dates() {
        let dates = [0.0, 951_782_400.0, 1_795_953_863.9, -1.0].map(utc);
        let expected = ["1970-01-01 00:00:00", "2000-02-29 00:00:00", "2026-11-29 12:04:23", "1969-12-31 23:59:59"];
        assert_eq!(dates, expected);
    }
}
