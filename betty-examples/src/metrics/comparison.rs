//! Numbers of several ways to do something, over seeds: a table for people, and one for programs.

use std::fmt;

use super::Summary;
use crate::plot::Bars;

/// A number of each of `N` ways, for each seed.
#[derive(Clone, Debug, PartialEq)]
pub struct Comparison<const N: usize> {
    /// What the ways are, and what is measured of them: the heading.
    heading: [String; 2],
    /// Each way's column of the CSV file, and what people call it.
    ways: [(&'static str, String); N],
    seeds: Vec<(u64, [f64; N])>,
}

impl<const N: usize> Comparison<N> {
    /// Of ways that are called `heading[0]`, by what is called `heading[1]`; each has a name for the CSV file and one for people.
    pub fn new(heading: [&str; 2], ways: [(&'static str, &str); N]) -> Self {
        let ways = ways.map(|(column, name)| (column, name.to_owned()));
        Comparison { heading: heading.map(str::to_owned), ways, seeds: Vec::new() }
    }

    /// Adds the numbers of a seed, in the order of the ways.
    pub fn push(&mut self, seed: u64, numbers: [f64; N]) {
        self.seeds.push((seed, numbers));
    }

    /// The number of a way, by its column, over all seeds.
    pub fn summary(&self, column: &str) -> Option<Summary> {
        let way = self.ways.iter().position(|way| way.0 == column)?;
        Summary::of(&self.seeds.iter().map(|(_, numbers)| numbers[way]).collect::<Vec<_>>())
    }

    /// A bar for each way.
    pub fn bars(&self) -> Bars {
        let bar = |(column, name): &(&'static str, String)| Some((name.clone(), self.summary(column)?));
        Bars { title: self.heading[1].clone(), bars: self.ways.iter().filter_map(bar).collect() }
    }

    /// A row for each seed, with a column for each way.
    ///
    /// # Errors
    /// Only if the library that writes CSV fails.
    pub fn to_csv(&self) -> Result<Vec<u8>, csv::Error> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(["seed"].into_iter().chain(self.ways.iter().map(|way| way.0)))?;
        for (seed, numbers) in &self.seeds {
            writer.write_record([seed.to_string()].into_iter().chain(numbers.iter().map(f64::to_string)))?;
        }
        writer.into_inner().map_err(|error| error.into_error().into())
    }
}

/// A line for each way: mean and standard deviation over the seeds.
impl<const N: usize> fmt::Display for Comparison<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = self.ways.iter().map(|way| &way.1).chain(&self.heading[..1]);
        let width = names.map(|name| name.chars().count()).max().unwrap_or(0) + 3;
        writeln!(f, "{:width$}{}", self.heading[0], self.heading[1])?;
        for (column, name) in &self.ways {
            if let Some(summary) = self.summary(column) {
                writeln!(f, "{name:width$}{summary}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_for_each_way_and_a_row_for_each_seed() {
        let mut comparison =
            Comparison::new(["learned from", "accuracy"], [("few", "few images"), ("all", "all of the images")]);
        assert_eq!(comparison.to_string(), "learned from        accuracy\n");
        comparison.push(3, [0.5, 0.75]);
        comparison.push(4, [0.7, 0.75]);
        let lines =
            ["learned from        accuracy", "few images          0.600 ± 0.141", "all of the images   0.750 ± 0.000"];
        assert_eq!(comparison.to_string(), lines.join("\n") + "\n");
        let csv = comparison.to_csv().expect("a table");
        assert_eq!(String::from_utf8(csv).expect("text"), "seed,few,all\n3,0.5,0.75\n4,0.7,0.75\n");
        assert_eq!(comparison.summary("few").map(|summary| summary.count), Some(2));
        assert_eq!(comparison.summary("none"), None);
    }
}
