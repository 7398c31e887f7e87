//! The report: one page that needs no knowledge of the method.

use std::fmt::{self, Write as _};

use betty_examples::data::Table;

use crate::cli::Options;
use crate::experiment::{Number, Outcome, Way};

const STYLE: &str = "body{font:16px/1.5 system-ui,sans-serif;color:#222;max-width:900px;margin:32px auto;padding:0 16px}\
 table{border-collapse:collapse;width:100%;margin:12px 0}th,td{text-align:left;padding:6px 12px 6px 0;border-bottom:1px solid #ddd}\
 td.number{text-align:right}.bar{display:inline-block;height:12px;background:#0072b2;border-radius:2px}\
 .verdict{font-size:19px;background:#eef4f9;padding:12px 16px;border-radius:8px}.quiet{color:#666}";

/// How probable it is that of so many rows on which two ways differ, each of which either may win, one wins as many more than the
/// other: the exact sign test, of both sides (McNemar, *Note on the sampling error of the difference between correlated proportions*,
/// 1947).
fn by_chance(wins: usize, losses: usize) -> f64 {
    let rows = wins + losses;
    // The logarithm of `rows` over `least`, divided by 2 to the power of `rows`.
    let mut log = -(rows as f64) * std::f64::consts::LN_2;
    let mut tail = 0.0;
    for least in 0..=wins.min(losses) {
        tail += log.exp();
        log += ((rows - least) as f64).ln() - ((least + 1) as f64).ln();
    }
    (2.0 * tail).min(1.0)
}

/// What the pilot found, for people.
pub(crate) struct Page<'a> {
    pub(crate) options: &'a Options,
    pub(crate) table: &'a Table,
    pub(crate) outcome: &'a Outcome,
}

impl Page<'_> {
    /// What is to be said in two sentences.
    fn verdict(&self) -> String {
        let ways = &self.outcome.ways;
        let better: Vec<&Way> =
            ways[2..].iter().filter(|way| self.difference(way).is_some_and(|gain| gain > 0.0)).collect();
        let best = better.iter().max_by(|one, other| one.accuracy.total_cmp(&other.accuracy));
        match best {
            Some(way) => format!(
                "Worth it: {} gets {} of the test rows right, the plain workflow {}. The difference is larger than chance explains.",
                way.name,
                percent(way.accuracy),
                percent(ways[1].accuracy)
            ),
            None => format!(
                "Stay with the plain workflow: it gets {} of the test rows right, and no other way is better by more than chance \
                 explains on {} test rows.",
                percent(ways[1].accuracy),
                self.outcome.rows[2]
            ),
        }
    }

    /// The gain in accuracy over the plain workflow, if chance makes one as large in less than one table of twenty, all ways together.
    fn difference(&self, way: &Way) -> Option<f64> {
        let (wins, losses) = way.against_plain;
        let tried = self.outcome.ways.len() - 2;
        (by_chance(wins, losses) * tried as f64 <= 0.05)
            .then(|| (wins as f64 - losses as f64) / self.outcome.rows[2] as f64)
    }

    fn judged(&self, way: &Way) -> &'static str {
        match self.difference(way) {
            Some(gain) if gain > 0.0 => "better",
            Some(_) => "worse",
            None => "no difference beyond chance",
        }
    }

    /// The page.
    pub(crate) fn html(&self) -> String {
        let Outcome { rows: [train, validation, test], inputs, most_frequent, deciding, suppressed, doubted, .. } =
            self.outcome;
        let target = escaped(&self.options.target);
        let mut html = format!(
            r#"<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Pilot: {target}</title><style>{STYLE}</style></head><body><h1>Telling <em>{target}</em></h1><p class="verdict">{}</p><table><tr><th>way of training</th><th>test rows right</th><th></th><th>beside the plain workflow</th><th>time</th><th>memory</th></tr>"#,
            escaped(&self.verdict())
        );
        let plain = &self.outcome.ways[1];
        for way in &self.outcome.ways {
            let _ = write!(
                html,
                r#"<tr><td>{}</td><td class="number">{}</td><td><span class="bar" style="width:{:.0}px"></span></td><td>{}</td><td class="number">{:.1} s</td><td class="number">{:.1} MiB</td></tr>"#,
                escaped(way.name),
                percent(way.accuracy),
                140.0 * way.accuracy,
                if std::ptr::eq(way, plain) { "–" } else { self.judged(way) },
                way.seconds,
                way.memory
            );
        }
        let _ = write!(
            html,
            r#"</table><p class="quiet">Always naming the most frequent class gets {} right. Of {train} rows to train on and {validation} to decide about penalties and weights, all were trained on in the end; {test} were kept for the test; {inputs} inputs, {} classes{}. What is learned begins at the penalty that the plain workflow searched: its time contains the search.</p>"#,
            percent(*most_frequent),
            self.table.classes.len(),
            match self.table.unlabelled {
                0 => String::new(),
                rows => format!("; {rows} rows without a class were left out"),
            }
        );
        let list = |inputs: &[Number]| inputs.iter().map(|(name, _)| escaped(name)).collect::<Vec<_>>().join(", ");
        if !deciding.is_empty() {
            let _ = write!(
                html,
                "<h2>What the learned numbers say</h2><p>Under learned penalties the classifier depends most on: {}. Inputs that are suppressed most: {}.</p>",
                list(deciding),
                list(suppressed)
            );
        }
        let _ = write!(
            html,
            "<p>Under learned weights {} of the training rows count less than half of those that count most. Where this way is better than the plain workflow, such rows are worth a look: their label may be wrong, or they come from elsewhere. Where it is not, that says nothing of them.</p>",
            percent(*doubted)
        );
        if self.options.watching.has_reports() {
            html += r#"<p>How the runs went: <a href="penalties.report.html">penalties</a>, <a href="weights.report.html">weights</a>.</p>"#;
        }
        html + "</body></html>\n"
    }
}

/// The table for people.
impl fmt::Display for Page<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [train, validation, test] = self.outcome.rows;
        writeln!(
            f,
            "{train} training, {validation} validation and {test} test rows, {} inputs\n",
            self.outcome.inputs
        )?;
        writeln!(
            f,
            "{:42}{:>10}{:>9}{:>10}  beside the plain workflow",
            "way of training", "accuracy", "time", "memory"
        )?;
        for (number, way) in self.outcome.ways.iter().enumerate() {
            let judged = if number == 1 { "-" } else { self.judged(way) };
            let (seconds, memory) = (format!("{:.1} s", way.seconds), format!("{:.1} MiB", way.memory));
            writeln!(f, "{:42}{:>10.4}{seconds:>9}{memory:>10}  {judged}", way.name, way.accuracy)?;
        }
        writeln!(f, "\n{}", self.verdict())
    }
}

fn percent(share: f64) -> String {
    format!("{:.1} %", 100.0 * share)
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::by_chance;

    #[test]
    fn few_rows_prove_nothing() {
        for (wins, losses, expected) in [
            (0, 0, 1.0),
            (4, 0, 0.125),
            (0, 6, 0.03125),
            (7, 0, 0.015625),
            (3, 3, 1.0),
            // 2·(1 + 10 + 45)/1024
            (8, 2, 0.109375),
        ] {
            assert!((by_chance(wins, losses) - expected).abs() < 1e-12, "{wins} {losses}");
        }
        // The normal distribution says 0.0026998 of three deviations, and less a little of whole numbers.
        let many = by_chance(5150, 4850);
        assert!((many - 0.0027).abs() < 1e-4, "{many}");
        assert!(by_chance(100_000, 0) < 1e-300);
    }
}
